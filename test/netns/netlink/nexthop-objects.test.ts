import { expect } from 'chai'
import { ip, Namespace, add, hostRows, remove, sh } from './namespace.ts'

let namespace: Namespace
let link: number

const objects = async (): Promise<readonly string[]> =>
  (await sh('ip nexthop show'))
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
const routes = async (): Promise<string> => (await sh('ip route show proto 84')).trim()
const { route } = hostRows(0, 1)
const toTunnel = () => ({ ...route, link })
const direct = () => ({ ...route, link: namespace.underlay, via: ip('192.0.2.9') })
const id = 0x0a060100

describe('nexthop objects of IPv4 tunnel routes', () => {
  beforeEach(async () => {
    namespace = await Namespace.open({ plainRoutes: 0 })
    link = (await namespace.ensure()).index
  })
  afterEach(() => namespace.close())

  it('come and go with their routes', async () => {
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
    expect(await objects()).to.deep.equal([`id ${id} via 10.6.1.0 dev tweed.42 scope link proto 84 onlink`])
    expect(await routes()).to.equal(`10.6.1.0/24 nhid ${id} via 10.6.1.0 dev tweed.42 onlink`)
    expect((await namespace.dump(link)).rows).to.deep.equal([toTunnel()])
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([]) // as it should be already
    expect(await namespace.apply(remove(toTunnel()))).to.deep.equal([])
    expect([await objects(), await routes()]).to.deep.equal([[], ''])
  })

  it('give way to a plain route where no tunnel is needed, and come back', async () => {
    await namespace.apply(add(toTunnel()))
    expect(await namespace.apply({ ...add(direct()), replace: true })).to.deep.equal([])
    expect([await objects(), await routes()]).to.deep.equal([[], '10.6.1.0/24 via 192.0.2.9 dev nl0 onlink'])
    expect(await namespace.apply({ ...add(toTunnel()), replace: true })).to.deep.equal([])
    expect(await routes()).to.equal(`10.6.1.0/24 nhid ${id} via 10.6.1.0 dev tweed.42 onlink`)
    expect((await namespace.dump(link)).rows).to.deep.equal([toTunnel()])
  })

  it('stand beside plain tunnel routes, as an agent before this one and flannel wrote them', async () => {
    await sh('ip route add 10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink proto 84')
    expect((await namespace.dump(link)).rows).to.deep.equal([toTunnel()])
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
    expect(await routes()).to.equal('10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink')
    expect(await namespace.apply(remove(toTunnel()))).to.deep.equal([])
    expect([await objects(), await routes()]).to.deep.equal([[], ''])
  })

  it('are never those of somebody else, who was there before or came since', async () => {
    await sh(`ip nexthop add id ${id} via 192.0.2.9 dev nl0`)
    await namespace.dump(link)
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
    expect(await routes()).to.equal('10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink')
    expect(await namespace.apply(remove(toTunnel()))).to.deep.equal([])
    expect(await objects()).to.deep.equal([`id ${id} via 192.0.2.9 dev nl0 scope link`])
    const other = { ...hostRows(link, 2).route }
    await namespace.during(() => sh(`ip nexthop add id ${id + 256} via 192.0.2.9 dev nl0`))
    expect(await namespace.apply(add(other))).to.deep.equal([])
    expect(await routes()).to.equal('10.6.2.0/24 via 10.6.2.0 dev tweed.42 onlink')
    await namespace.during(() => sh('ip nexthop flush'))
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
    expect(await routes()).to.contain(`10.6.1.0/24 nhid ${id} `)
  })

  it('raise a doubt when somebody removes them: their routes go without a word', async () => {
    await namespace.apply(add(toTunnel()))
    const seen = await namespace.during(() => sh(`ip nexthop del id ${id}`))
    expect(seen.map(({ kind }) => kind)).to.contain('overrun')
    expect((await namespace.dump(link)).rows).to.deep.equal([])
    expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
    expect((await namespace.dump(link)).rows).to.deep.equal([toTunnel()])
  })

  it('are no news when we write them', async () => {
    const seen = await namespace.during(() => namespace.apply(add(toTunnel()), remove(toTunnel())))
    expect(seen.filter(({ kind }) => kind !== 'link')).to.deep.equal([]) // which has just come up
  })

  it('tell the reason of the object that was refused, and not that its route lacks it', async () => {
    const nowhere = { ...toTunnel(), link: 9999 }
    const [refusal] = await namespace.apply(add(nowhere))
    expect(refusal?.fault.message).to.contain('Invalid device index')
  })

  it('are for the routes beyond the first so many', async () => {
    await namespace.close()
    namespace = await Namespace.open({ plainRoutes: 2 })
    link = (await namespace.ensure()).index
    const all = [1, 2, 3].map((n) => hostRows(link, n).route)
    await namespace.apply(...all.map(add))
    expect(await objects()).to.have.length(1)
    expect(await routes()).to.match(/^10\.6\.1\.0\/24 via .*\n10\.6\.2\.0\/24 via .*\n10\.6\.3\.0\/24 nhid/)
    await namespace.apply(...all.map(remove), add(toTunnel()))
    expect([await objects(), await routes()]).to.deep.equal([
      [],
      '10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink',
    ])
  })

  it('leave a route of somebody else in its place', async () => {
    await sh('ip route add 10.6.1.0/24 via 192.0.2.9 dev nl0')
    const [refusal] = await namespace.apply(add(toTunnel()))
    expect(refusal?.fault.code).to.equal('route-conflict')
    expect(await sh('ip route show 10.6.1.0/24')).to.match(/^10\.6\.1\.0\/24 via 192\.0\.2\.9 dev nl0/)
  })

  it('are done without where routes would not be told by them', async () => {
    const sysctl = 'net.ipv4.nexthop_compat_mode'
    await namespace.close()
    await sh(`sysctl -qw ${sysctl}=0`)
    try {
      namespace = await Namespace.open({ plainRoutes: 0 })
      link = (await namespace.ensure()).index
      expect(await namespace.apply(add(toTunnel()))).to.deep.equal([])
      expect([await objects(), await routes()]).to.deep.equal([
        [],
        '10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink',
      ])
    } finally {
      await sh(`sysctl -qw ${sysctl}=1`)
    }
  })
})
