import { readFile } from 'node:fs/promises'

/** The block of shell commands that a page of docs/ has under this mark: ```` ```sh MARK ````. */
export const documentedCommands = async (page: string, mark: string): Promise<string> => {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  const block = new RegExp(`^\`\`\`sh ${mark}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(text)?.[1]
  if (block === undefined) throw new Error(`docs/${page} has no block "sh ${mark}"`)
  return block
}
