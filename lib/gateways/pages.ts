import type { ServerResponse } from 'node:http'

/** A request that is not passed on, and the answer that says so. */
export class Refusal extends Error {
  readonly status: number
  /** Seconds after which it may be asked again. */
  readonly retryAfter: number | undefined
  /** The places that a person may go to from here. */
  readonly links: readonly Link[]

  constructor(
    status: number,
    text: string,
    { retryAfter, links = [] }: { retryAfter?: number; links?: readonly Link[] } = {},
  ) {
    super(text)
    this.status = status
    this.retryAfter = retryAfter
    this.links = links
  }
}

/** True if the program at the other end shows pages to a person. */
export function isBrowser(accept: string | undefined): boolean {
  return /\btext\/html\b/.test(accept ?? '')
}

/** Headers by which no page can frame ours, and nothing but what it says is run. */
const SAFE = {
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

const STYLE =
  'body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}'

/** A text, and where it leads, if anywhere. */
export interface Link {
  readonly text: string
  readonly href?: string | undefined
}

export interface PageOptions {
  readonly accept: string | undefined
  readonly title: string
  /** The places that a person may go to from here. */
  readonly links: readonly Link[]
  /** Seconds until the page loads itself again. */
  readonly retryAfter?: number | undefined
}

/** Answers with a page of our own: text, or HTML for a person. What others have named is escaped. */
export function answerPage(
  response: ServerResponse,
  status: number,
  { accept, title, links, retryAfter }: PageOptions,
): void {
  const isHTML = isBrowser(accept)
  const body = isHTML ? pageOf(title, links, retryAfter) : textOf(title, links)
  response.writeHead(status, {
    ...SAFE,
    'content-type': `text/${isHTML ? 'html' : 'plain'}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  })
  response.end(body)
}

function textOf(title: string, links: readonly Link[]): string {
  return [title, ...links.map(({ text }) => `  ${text}`), ''].join('\n')
}

function pageOf(title: string, links: readonly Link[], retryAfter: number | undefined): string {
  const again =
    retryAfter === undefined ? '' : `<meta http-equiv="refresh" content="${retryAfter}">`
  const items = links.map(({ text, href }) =>
    href === undefined
      ? `<li>${escaped(text)}</li>`
      : `<li><a href="${escaped(href)}">${escaped(text)}</a></li>`,
  )
  const list = items.length > 0 ? `<ul>${items.join('')}</ul>` : ''
  return `<!doctype html><meta charset="utf-8">${again}<title>Moniker</title><style>${STYLE}</style><p>${escaped(title)}</p>${list}\n`
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
