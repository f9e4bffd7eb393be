import { routeProtocol } from '../../src/core/kernel/notation.ts'
import { Cidr } from '../../src/core/net/cidr.ts'
import { Ip } from '../../src/core/net/ip.ts'
import { Mac } from '../../src/core/net/mac.ts'
import type { MemoryKernel } from '../../src/adapters/memory/kernel.ts'

/** Does to a memory kernel what an administrator would do with these words; throws on words that it doesn't know. */
export const byHand = (kernel: MemoryKernel, command: string): void => {
  const [tool = '', object = '', verb = '', ...words] = command.split(' ')
  const after = (word: string): string | undefined => words[words.indexOf(word) + 1]
  const subject = words[0] ?? ''
  const link = kernel.namespace.linkNamed(after('dev') ?? '')?.index ?? 0
  const isRemoval = verb === 'del'
  const unreadable = (): never => {
    throw new Error(`"${command}" is nothing that a memory kernel understands`)
  }
  const need = <T>(value: T | undefined): T => value ?? unreadable()
  const option = (word: string): string | undefined => (words.includes(word) ? after(word) : undefined)

  switch (`${tool} ${object}`) {
    case 'ip neigh': {
      const ip = need(Ip.parse(subject))
      if (isRemoval) return kernel.take({ kind: 'neighbour', link, ip, mac: anyMac, state: 'permanent' })
      const mac = need(Mac.parse(after('lladdr') ?? ''))
      const state = after('nud')
      if (state === 'permanent' || state === 'noarp')
        return kernel.put({ kind: 'neighbour', link, ip, mac, state })
      return kernel.put({ link, ip, mac, state: 'reachable' })
    }
    case 'bridge fdb': {
      const mac = need(Mac.parse(subject))
      const vtep = Ip.parse(option('dst') ?? '')
      if (isRemoval) return kernel.take({ kind: 'fdb', link, mac, vtep: vtep ?? anyIp })
      return kernel.put({ kind: 'fdb', link, mac, vtep: need(vtep) })
    }
    case 'ip route': {
      const row = {
        kind: 'route' as const,
        link,
        dst: need(Cidr.parse(subject)),
        via: Ip.parse(option('via') ?? ''),
      }
      if (isRemoval) return kernel.take(row)
      const protocol = option('proto') === String(routeProtocol) ? routeProtocol : 3
      return kernel.put(row, { protocol, replace: verb === 'replace' })
    }
    case 'ip link': {
      if (isRemoval) return kernel.deleteLink(subject)
      const mac = option('address')
      if (mac !== undefined) return kernel.changeLink(subject, { mac: need(Mac.parse(mac)) })
      return kernel.changeLink(subject, { up: words.includes('up') })
    }
    case 'ip addr': {
      const address = { link, address: need(Cidr.parse(subject)), scope: 0, secondary: false }
      return isRemoval ? kernel.removeAddress(address) : kernel.addAddress(address)
    }
    default:
      return unreadable()
  }
}

const some = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('a constant is wrong')
  return value
}
const anyMac = some(Mac.parse('02:00:00:00:00:00'))
const anyIp = some(Ip.parse('0.0.0.0'))
