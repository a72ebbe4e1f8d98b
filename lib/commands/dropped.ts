import { droppedVariables, type Inherited } from '../node/processes.ts'
import type { Project } from '../project.ts'

/** The advice for variables that are dropped. */
export const PASS_ON =
  'pass it on (turbo: "globalPassThroughEnv": ["MONIKER_*"] in turbo.json; sudo: --preserve-env), or put it in moniker.json'

/** The variables of ours that a tool on the way to this process has dropped, and the project does not make up for. */
export async function dropped({ namespace, port }: Project): Promise<string[]> {
  // The others are for the children of one process alone.
  const all = await droppedVariables(/^MONIKER_(?!(?:APP|RUN|RESERVATION|URL)$)/)
  const isMissed = ({ name }: Inherited) =>
    !(name === 'MONIKER_NAMESPACE' && namespace !== undefined) &&
    !(name === 'MONIKER_PORT' && port !== undefined)
  return all
    .filter(isMissed)
    .map(
      ({ name, value, from }) =>
        `${name}=${value} of process ${from.pid} (${from.name}) does not come here`,
    )
}
