import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { Lab } from '../../support/lab.ts'
import { nft } from '../../support/nft.ts'
import { twoContainers } from '../../support/overlay.ts'

/** Options of flannel's vxlan backend, and how `ip -d link` prints them. */
const options: readonly (readonly [backend: object, port: number, words: RegExp])[] = [
  [{}, 8472, / nolearning (?!.* gbp)/],
  [{ Port: 4789 }, 4789, / nolearning (?!.* gbp)/],
  [{ GBP: true }, 8472, / nolearning .* gbp /],
  [{ Learning: true }, 8472, /^(?!.*nolearning)(?!.* gbp )/m],
  [{ VNI: 77, Port: 4789, GBP: true, Learning: true }, 4789, /vxlan id 77 (?!.*nolearning).* gbp /],
]

for (const [backend, port, words] of options)
  describe(`agents of a network with ${JSON.stringify(backend)}`, () => {
    const device = 'VNI' in backend ? String(backend.VNI) : '1'
    let lab: Lab
    let a: Container
    let b: Container
    before(async () => {
      const families = { Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fc00::/48' }
      lab = await Lab.create({
        hosts: 2,
        ipv6: true,
        config: { ...families, Backend: { Type: 'vxlan', ...backend } },
      })
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    it('have devices with it, in both families', async () => {
      for (const name of [`tweed.${device}`, `tweed-v6.${device}`]) {
        const shown = await lab.host(1).netns.ip('-d', 'link', 'show', 'dev', name)
        const [vxlan = ''] = /vxlan id .*/.exec(shown) ?? []
        expect(vxlan, name)
          .to.match(words)
          .and.to.contain(` dstport ${String(port)} `)
      }
    })

    it('talk, on that port and on no other', async () => {
      await nft(
        lab.underlay,
        `table bridge watch {
          set ports { type inet_service; size 64; flags dynamic; }
          chain forward { type filter hook forward priority 0; meta l4proto udp add @ports { udp dport }; }
        }`,
      )
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        // prettier-ignore
        for (const address of [to.address, to.address6])
          expect((await from.ping(address)).received, address).to.equal(1)
      const seen = await lab.underlay.exec('nft', 'list', 'set', 'bridge', 'watch', 'ports')
      expect(/elements = \{ (.*) \}/.exec(seen)?.[1]).to.equal(String(port))
    })
  })
