import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Given } from './bench.ts'

const width = 760
const colours = ['#2f6f9f', '#d98c3f', '#5b9a68', '#9a5b8f']
const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const text = (at: readonly [number, number], words: string, attributes = '') =>
  `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${attributes}>${escape(words)}</text>`
const short = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(2))

interface Drawing {
  readonly height: number
  readonly body: string
}

/** Writes `<name>.svg` below `--charts`, with the machine in its foot. */
export const writeChart = async (name: string, given: Given, drawings: readonly Drawing[]): Promise<void> => {
  const folder = given.parameters['charts'] || new URL('../charts', import.meta.url).pathname
  await mkdir(folder, { recursive: true })
  const height = drawings.reduce((sum, drawing) => sum + drawing.height, 24)
  let y = 0
  const bodies = drawings.map((drawing) => {
    const placed = `<g transform="translate(0 ${y})">${drawing.body}</g>`
    y += drawing.height
    return placed
  })
  const foot = text(
    [12, height - 10],
    `${cpus().length} × ${cpus()[0]?.model ?? ''}, Node ${process.version}; medians`,
    'fill="#888" font-size="11"',
  )
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="13" fill="#333"><rect width="100%" height="100%" fill="#fff"/>` +
    `${bodies.join('')}${foot}</svg>\n`
  await writeFile(join(folder, `${name}.svg`), svg)
}

export interface BarChart {
  readonly title: string
  readonly unit: string
  readonly bars: readonly {
    readonly label: string
    readonly parts: readonly { readonly label: string; readonly value: number }[]
  }[]
}

export const barChart = ({ title, unit, bars }: BarChart): Drawing => {
  const total = (bar: BarChart['bars'][number]) => bar.parts.reduce((sum, part) => sum + part.value, 0)
  const scale = (width - 120) / Math.max(...bars.map(total))
  const body = bars.map((bar, i) => {
    const y = 56 + i * 62
    let x = 12
    const parts = bar.parts.map((part, j) => {
      const size = Math.max(0, part.value * scale)
      const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${size.toFixed(1)}" height="26" fill="${colours[j] ?? '#999'}"/>`
      const label =
        bar.parts.length > 1 && size > 90
          ? text([x + 5, y + 17], part.label, 'fill="#fff" font-size="11"')
          : ''
      x += size
      return rect + label
    })
    return (
      text([12, y - 6], bar.label) + parts.join('') + text([x + 6, y + 18], `${short(total(bar))} ${unit}`)
    )
  })
  return { height: 60 + bars.length * 62, body: text([12, 24], title, 'font-weight="600"') + body.join('') }
}

export interface LineChart {
  readonly title: string
  readonly unit: string
  readonly x: string
  readonly lines: readonly {
    readonly label: string
    readonly points: readonly (readonly [number, number])[]
  }[]
}

/** Both axes logarithmic: a straight line of slope one is a cost in proportion. */
export const lineChart = ({ title, unit, x, lines }: LineChart): Drawing => {
  const points = lines.flatMap((line) => line.points)
  const axis = (values: readonly number[], from: number, to: number) => {
    const low = Math.log(Math.min(...values))
    const span = Math.log(Math.max(...values)) - low || 1
    return (value: number) => from + ((Math.log(value) - low) / span) * (to - from)
  }
  const atX = axis(points.map(([px]) => px), 70, width - 190) // prettier-ignore
  const atY = axis(points.map(([, py]) => py), 250, 60) // prettier-ignore
  const drawn = lines.map((line, i) => {
    const colour = colours[i] ?? '#999'
    const path = line.points.map(([px, py]) => `${atX(px).toFixed(1)},${atY(py).toFixed(1)}`).join(' ')
    const dots = line.points.map(
      ([px, py]) =>
        `<circle cx="${atX(px).toFixed(1)}" cy="${atY(py).toFixed(1)}" r="3" fill="${colour}"/>` +
        text([atX(px), atY(py) - 8], short(py), 'font-size="10" text-anchor="middle" fill="#666"'),
    )
    const last = line.points.at(-1) ?? [1, 1]
    return (
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}` +
      text([atX(last[0]) + 20, atY(last[1]) + 4], line.label, `fill="${colour}"`)
    )
  })
  const ticks = [...new Set(points.map(([px]) => px))].map((px) =>
    text([atX(px), 276], String(px), 'text-anchor="middle" fill="#666"'),
  )
  const frame = `<path d="M70 50 V258 H${width - 190}" fill="none" stroke="#bbb"/>`
  return {
    height: 306,
    body:
      text([12, 24], `${title} (${unit}, both axes logarithmic)`, 'font-weight="600"') +
      frame + drawn.join('') + ticks.join('') + text([width / 2 - 60, 298], x, 'fill="#666"'), // prettier-ignore
  }
}
