import { expect } from 'chai'
import { parseEndpoints } from '../../../src/adapters/etcd/endpoint-address.ts'

describe('parseEndpoints', () => {
  it("reads flannel's notation", () => {
    expect(parseEndpoints('http://192.0.2.1:2379, https://etcd.example,198.51.100.7:4001')).to.deep.equal([
      { host: '192.0.2.1:2379', scheme: 'http' },
      { host: 'etcd.example:2379', scheme: 'https' },
      { host: '198.51.100.7:4001', scheme: undefined },
    ])
  })

  it('reads IPv6 addresses in brackets, and lists', () => {
    expect(parseEndpoints(['http://[2001:db8::1]:2379/', 'a,b'])).to.deep.equal([
      { host: '[2001:db8::1]:2379', scheme: 'http' },
      { host: 'a:2379', scheme: undefined },
      { host: 'b:2379', scheme: undefined },
    ])
  })

  for (const bad of ['ftp://a', 'http://a:0', 'http://a:70000', 'a b', 'http://'])
    it(`refuses ${bad}`, () => {
      expect(parseEndpoints(`c,${bad}`)).to.deep.equal({ bad })
    })

  it('refuses an empty list', () => {
    expect(parseEndpoints(' , ')).to.deep.equal({ bad: '' })
  })

  it('does not repeat a password', () => {
    expect(parseEndpoints('http://root:secret@192.0.2.1:2379')).to.deep.equal({
      bad: 'http://192.0.2.1:2379',
    })
  })
})
