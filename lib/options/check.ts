import { isScoped, parse, type Name } from '../name.ts'
import { defaultNamespace } from '../namespace.ts'
import type { Options } from './options.ts'

/** True if `value` is options that have a name in them. */
export function hasService(value: unknown): value is { service: unknown } {
  return (
    typeof value === 'object' && value !== null && 'service' in value && value.service !== undefined
  )
}

/** True if `text` says where to look for a name, as well. */
export function isURI(text: string): boolean {
  return text.includes('://')
}

/**
 * True if `text` may be a name: what `net` takes for a port, or for the path of a pipe, it keeps. The name of a package
 * with a scope is meant for a name too; what reads it says how that is written.
 */
export function isName(text: string): boolean {
  return (!(Number(text) >= 0) && !/[/\\\0]/.test(text)) || isScoped(text)
}

/** The name in options that have been checked; throws `ERR_MONIKER_NAME` if `service` is none. */
export function nameIn({
  service,
  namespace,
  version,
}: Pick<Options, 'service' | 'namespace' | 'version'>): Name {
  const name = parse(service)
  if (namespace === undefined && version === undefined) return name
  return {
    namespace: (namespace ?? name.namespace).toLowerCase(),
    service: name.service,
    version: version ?? name.version,
  }
}

/** The name; one that gives no namespace, in that of this process. */
export function homed(name: Name): Name {
  const namespace = name.namespace || defaultNamespace()
  return namespace === name.namespace ? name : { ...name, namespace }
}

/** The listener that ends `args`, if one does. */
export function callbackIn(args: readonly unknown[]): (() => void) | undefined {
  const last = args.at(-1)
  return typeof last === 'function' ? (last as () => void) : undefined
}
