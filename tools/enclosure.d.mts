export const OUTSIDE: string
export const enclosed: (command: readonly string[]) => [string, ...string[]]
export const enclosedEnvironment: () => NodeJS.ProcessEnv
export const isEnclosed: () => boolean
export const whyNoEnclosure: () => string | undefined
