/** A text that may come from somebody else, on its way to a terminal: without what would steer it. */
export function printable(value: unknown): string {
  return String(value).replaceAll(/\p{Cc}/gu, ' ')
}
