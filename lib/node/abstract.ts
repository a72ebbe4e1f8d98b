/** True where there are abstract Unix sockets: they have the reach of the loopback addresses. */
export const hasUnix = process.platform === 'linux'

/**
 * The name by which Node knows the abstract Unix socket `path`. It is padded here: Node 20 pads it with NULs to the
 * whole length of an address, and later ones do not.
 */
export function abstract(path: string): string {
  return `\0${path.padEnd(107, '.')}`
}
