import { once } from 'node:events'
import nodemailer, { type TransportOptions } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { test } from 'tap'
import { listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { home } from '../fixtures/home.ts'

/** The members that its types leave out. */
interface Transport {
  getSocket(options: object, done: (error: Error | null, socket?: object) => void): void
}

test('nodemailer talks to a mail server over a name', async t => {
  await home(t)
  const letters: string[] = []
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, _session, done) => {
      let letter = ''
      stream.on('data', bytes => (letter += String(bytes)))
      stream.on('end', () => done(null, String(letters.push(letter))))
    },
  })
  await once(listen(smtp.server, 'mail'), 'listening')

  const options = {
    getSocket: (_options, done) => {
      const connection = connect('mail', () => done(null, { connection })).once('error', done)
    },
  } satisfies Transport
  const transport = nodemailer.createTransport(options as TransportOptions)
  await transport.sendMail({
    from: 'leia@alderaan.test',
    to: 'obi-wan@tatooine.test',
    subject: 'Help me',
    text: 'You are my only hope.',
  })
  t.match(letters, [/You are my only hope\./])
  transport.close()
  const closed = once(smtp.server, 'close')
  smtp.close()
  await closed
})
