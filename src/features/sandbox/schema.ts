import { Type, type Static } from '@sinclair/typebox'
import { closed, Limit, oneOf, ref, Timestamp, Uuid } from '../../platform/http/schemas.ts'
import { messageChannels } from '../../vocabulary.ts'

export const SandboxMessage = closed({
  id: Uuid,
  to: Type.String({ description: 'Number or address, in full: it is a test\'s own.' }),
  extension: Type.Optional(Type.String()),
  channel: oneOf(messageChannels),
  kind: oneOf(['code', 'notice']),
  subject: Type.Optional(Type.String()),
  body: Type.String(),
  code: Type.Optional(Type.String()),
  challengeId: Type.Optional(Uuid),
  createdAt: Timestamp,
}, {
  $id: 'SandboxMessage', title: 'SandboxMessage',
  examples: [{
    id: '0199c0de-0000-7000-8000-000000000004', to: '+14155550132', channel: 'sms', kind: 'code',
    body: 'Demo Ltd: 123456 is your code to confirm this contact method. It is good for 5 minutes. No one will ask you for this code.',
    code: '123456', challengeId: '0199c0de-0000-7000-8000-000000000003', createdAt: '2026-11-22T09:30:00.000Z',
  }],
})
export type SandboxMessage = Static<typeof SandboxMessage>

export const SandboxMessageList = closed({ items: Type.Array(ref(SandboxMessage)) }, { $id: 'SandboxMessageList', title: 'SandboxMessageList', examples: [{ items: SandboxMessage.examples as unknown[] }] })

export const MessageQuery = closed({
  to: Type.Optional(Type.String({ minLength: 1, maxLength: 320, description: 'Number in E.164, or address.', examples: ['+14155550132'] })),
  channel: Type.Optional(oneOf(messageChannels, { description: 'On this channel.', examples: ['sms'] })),
  challengeId: Type.Optional({ ...Uuid, description: 'The messages of one challenge.', examples: ['0199c0de-0000-7000-8000-000000000003'] }),
  limit: Limit,
  waitSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 10, default: 0, description: 'Waits until there is a message, at most so long.', examples: [10] })),
})
export type MessageQuery = Static<typeof MessageQuery>

const dayseconds = 86_400
export const SandboxClock = closed({
  offsetSeconds: Type.Integer({ minimum: 0, maximum: 500 * dayseconds, description: 'How far ahead of the real time this tenant lives; at most 500 days.' }),
}, { $id: 'SandboxClockChange', title: 'SandboxClockChange', examples: [{ offsetSeconds: 0 }] })
export type SandboxClock = Static<typeof SandboxClock>

export const SandboxTime = closed({ offsetSeconds: Type.Integer(), now: Timestamp }, {
  $id: 'SandboxClock', title: 'SandboxClock', examples: [{ offsetSeconds: 0, now: '2026-11-22T09:30:00.000Z' }],
})
export type SandboxTime = Static<typeof SandboxTime>

export const SandboxFault = closed({ channel: oneOf(messageChannels), mode: oneOf(['none', 'error', 'timeout', 'slow']) }, {
  $id: 'SandboxFault', title: 'SandboxFault', examples: [{ channel: 'sms', mode: 'none' }],
})
export type SandboxFault = Static<typeof SandboxFault>
