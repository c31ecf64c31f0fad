/** Whether a subject is one of those that a filter with the bus's wildcards names. */
export function subjectMatches(filter: string, subject: string): boolean {
  const wanted = filter.split('.')
  const words = subject.split('.')
  for (const [index, word] of wanted.entries()) {
    if (word === '>') return words.length > index
    if (word !== '*' && word !== words[index]) return false
  }
  return wanted.length === words.length
}
