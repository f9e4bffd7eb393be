import tseslint from 'typescript-eslint'
import rxjsX from 'eslint-plugin-rxjs-x'

/** Who may import whom: arrows point inwards. The message of a violation names the rule. */
const layers = ['core', 'ports', 'streams', 'adapters', 'config', 'cli']
const mayImport = {
  core: { layers: ['core'], packages: [] },
  ports: { layers: ['core', 'ports'], packages: ['rxjs'] },
  streams: { layers: ['core', 'ports', 'streams'], packages: ['rxjs'] },
  'adapters/etcd': {
    layers: ['core', 'ports'],
    packages: ['rxjs', 'etcd3', '@grpc/grpc-js', 'cockatiel', 'node:*'],
  },
  'adapters/netlink': {
    layers: ['core', 'ports'],
    packages: ['rxjs', 'netlink', 'node-gyp-build', 'node:*'],
  },
  'adapters/nftables': { layers: ['core', 'ports'], packages: ['rxjs', 'node:*'] },
  'adapters/memory': { layers: ['core', 'ports'], packages: ['rxjs'] },
  'adapters/host': { layers: ['core', 'ports'], packages: ['rxjs', 'pino', 'node-gyp-build', 'node:*'] },
  config: { layers: ['core', 'ports', 'config'], packages: ['node:*'] },
  cli: { layers: ['core', 'ports', 'config', 'cli'], packages: ['commander', 'rxjs', 'node:*'] },
}
const allPackages = [
  'rxjs',
  'etcd3',
  '@grpc/grpc-js',
  'cockatiel',
  'netlink',
  'node-gyp-build',
  'pino',
  'commander',
]

const layerRule = ([folder, may]) => {
  const deniedLayers = layers.filter((layer) => !may.layers.includes(layer))
  const denied = [...allPackages, 'node:*'].filter((name) => !may.packages.includes(name))
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            ...(deniedLayers.length
              ? [
                  {
                    regex: `^\\.\\./(.*/)?(${deniedLayers.join('|')})/`,
                    message: `${folder} may import only: ${may.layers.join(', ')} (docs/architecture.md, layers).`,
                  },
                ]
              : []),
            ...(denied.length
              ? [
                  {
                    regex: `^(${denied.map((name) => name.replace('*', '.*')).join('|')})(/|$)`,
                    message: `${folder} may use only these packages: ${may.packages.join(', ') || 'none'}.`,
                  },
                ]
              : []),
          ],
        },
      ],
    },
  }
}

export default tseslint.config(
  { ignores: ['dist', 'build', 'node_modules', 'prebuilds'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, rxjsX.configs.strict],
    languageOptions: {
      parserOptions: { project: ['./tsconfig.test.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreVoidReturningFunctions: true }],
      'rxjs-x/throw-error': 'off', // the error channel carries Faults, which are values
      '@typescript-eslint/no-redeclare': 'off', // a type and its companion share a name
      'rxjs-x/no-ignored-default-value': 'off', // an empty stream is an error where a first value is awaited
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { allowDefaultCaseForExhaustiveSwitch: false },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      'rxjs-x/finnish': [
        'error',
        { functions: true, methods: true, properties: true, variables: true, parameters: false },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'demo/**/*.ts', 'bench/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off' },
  },
  ...Object.entries(mayImport).map(layerRule),
)
