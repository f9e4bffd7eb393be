/** Rows as columns aligned with two spaces, the header in capitals; no line ends in blanks. */
export const printTable = (header: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [header.map((name) => name.toUpperCase()), ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
