/** `work`, for which the process stays alive: to register a name, or to wait, does not keep it so. */
export async function awake<T>(work: Promise<T>): Promise<T> {
  // As long as a timer may be; what it does is of no importance.
  const timer = setInterval(() => {}, 2 ** 31 - 1)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}
