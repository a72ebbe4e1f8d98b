import { Command } from 'commander'
import { loadPolicy } from '../policy/file.ts'

const FORMAT = `
A policy is YAML or JSON. The first rule that matches decides; where none does, it is as without a
policy. This one keeps admin services to this host, has user luke alone publish in namespace jedi,
shows the services of namespace web to one network, and lets no program here go to the internet:

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

A rule has allow or deny: publish, resolve, list (and watch), connect, several of them, or all; and

  name, namespace  as they are, or with * for anything; the namespace of the host is ''
  version          a range such as ^1
  user             a user of this host, by name or number
  from             where it is asked: an address, 192.0.2.0/24, 192.0.2.1-192.0.2.9, local, remote
  to               where it connects: the same, or a host by name, or with *

Several are a list, of which one must match. What somebody may not resolve is to them as if it were not
there. "unproven: allow" beside the rules opens the namespace of a user to programs whose user cannot be
known, which only Linux tells; else they are refused.

The file must be root's or your own, must not be for everybody to write, and be no symbolic link.`

const check = new Command('check')
  .description('Says whether a file is a policy, or on which line it is not.')
  .argument('<file>')
  .addHelpText('after', FORMAT)
  .action(async (file: string) => {
    const { size } = await loadPolicy(file)
    console.log(`${file} is a policy of ${size} ${size === 1 ? 'rule' : 'rules'}`)
  })

export const policyCommand = new Command('policy')
  .description('Checks the file that says who may publish, resolve, list and connect to what.')
  .addCommand(check)
