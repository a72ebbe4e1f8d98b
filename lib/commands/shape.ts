import type { Command, Option } from 'commander'
import { monikerCommand } from './moniker.ts'

/** The parts of a command that completion needs. The build makes them data, as a shell waits for them at each key. */
export interface Shape {
  readonly name: string
  readonly about: string
  readonly options: readonly OptionShape[]
  readonly arguments: readonly ArgumentShape[]
  /** The commands below this one, hidden ones left out. */
  readonly commands: readonly Shape[]
}

interface OptionShape {
  /** The short and the long form, as far as they exist. */
  readonly flags: readonly string[]
  /** The form that is offered; `undefined` if the option is hidden. */
  readonly shown?: string | undefined
  readonly about: string
  /** True if a value must follow. */
  readonly takesValue: boolean
  /** The option by its name in the code, such as `daemonPort`. */
  readonly attribute: string
  readonly choices?: readonly string[] | undefined
}

interface ArgumentShape {
  readonly name: string
  readonly variadic: boolean
  readonly choices?: readonly string[] | undefined
}

/** The shape of the whole command line. */
export async function shape(): Promise<Shape> {
  return shapeOf(await monikerCommand())
}

export function shapeOf(command: Command): Shape {
  const help = command.createHelp()
  const visible = help.visibleOptions(command)
  return {
    name: command.name(),
    about: command.description(),
    options: [...new Set([...visible, ...command.options])].map(option =>
      optionShape(option, visible.includes(option)),
    ),
    arguments: command.registeredArguments.map(argument => ({
      name: argument.name(),
      variadic: argument.variadic,
      choices: argument.argChoices,
    })),
    // Commander adds `help`, which takes any command; no words are offered there.
    commands: help
      .visibleCommands(command)
      .map(below =>
        command.commands.includes(below) ? shapeOf(below) : { ...shapeOf(below), arguments: [] },
      ),
  }
}

function optionShape(option: Option, isVisible: boolean): OptionShape {
  const { short, long, description, required, argChoices } = option
  return {
    flags: [short, long].filter(flag => flag !== undefined),
    shown: isVisible ? long : undefined,
    about: description,
    takesValue: required,
    attribute: option.attributeName(),
    choices: argChoices,
  }
}
