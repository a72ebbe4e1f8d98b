import { Command } from 'commander'
import { loadPolicy } from '../policy/file.ts'

const FORMAT = `
A policy is YAML or JSON. The first rule that matches decides; if none does, it is as without a policy.
This one keeps admin services to this host, lets only user luke publish in namespace jedi, shows the
services of namespace web to one network, and lets no program here connect to the internet:

  rules:
    - deny: [resolve, list]
      name: admin-*
      from: remote
    - allow: publish
      namespace: jedi
      user: luke
    - deny: publish
      namespace: jedi
    - allow: list
      namespace: web
      from: 192.0.2.0/24
    - allow: connect
      to: [local, 192.0.2.0/24, '*.example.com']
    - deny: connect

A rule has allow or deny: publish, resolve, list (and watch), connect, a list of these, or all. It may have:

  name, namespace  the text itself, or with * for any text; the namespace of the host is ''
  version          a range such as ^1
  user             a user of this host, by name or number
  from             the host that asks: an address, 192.0.2.0/24, 192.0.2.1-192.0.2.9, local, remote
  to               the host to connect to: the same, or its name, which may have *

Each may be a list, of which one must match. A program that may not resolve a name gets the answer that
there is no such name. Only Linux tells the user of a program. Where the user cannot be known, a program
may not publish in the namespace of a user, unless "unproven: allow" stands beside the rules.

The file must belong to root or to you. It must not be writable for everybody, nor be a symbolic link.

All programs and daemons of a host obey /etc/moniker/policy.yml, if it is there. It, and each folder above it, must be
root's, and nobody else may write to it. Beside it they obey the file of --policy or MONIKER_POLICY: what either denies
is denied.`

const check = new Command('check')
  .description('Checks a file, and says on which line it is wrong.')
  .argument('<file>')
  .addHelpText('after', FORMAT)
  .action(async (file: string) => {
    const { size } = await loadPolicy(file)
    console.log(`${file} is a policy of ${size} ${size === 1 ? 'rule' : 'rules'}`)
  })

export const policyCommand = new Command('policy')
  .description('Checks the file that says who may publish, resolve, list and connect to what.')
  .addCommand(check)
