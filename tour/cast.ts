import type { Caller } from './caller.ts'
import type { Tour } from './tour.ts'

/** Numbers and addresses that no carrier serves; a sandbox delivers them to its inbox. */
export const at = {
  mobile: '+14155550132', newMobile: '+14155550154', thirdMobile: '+14155550165', alternate: '+14155550143', office: '+14155550110', email: 'ann.at.home@example.org',
  signIn: 'ann@example.com', stranger: '+14155550176', emma: '+14155550121', security: 'security@example.net',
} as const

/** Who appears, as they sign in at the start of the tour. */
export interface Cast {
  /** The help desk, two privileged administrators, who looks after the policy, and the auditor. */
  helen: Caller
  paul: Caller
  petra: Caller
  pia: Caller
  audrey: Caller
  /** An app that asks what to do at sign-in, and one that may only start challenges. */
  payroll: Caller
  kiosk: Caller
}

export async function callCast ({ as }: Tour): Promise<Cast> {
  return {
    helen: await as('helen', { roles: ['helpdesk'] }), paul: await as('paul', { roles: ['privilegedAdmin'] }), petra: await as('petra', { roles: ['privilegedAdmin'] }),
    pia: await as('pia', { roles: ['policyAdmin'] }), audrey: await as('audrey', { roles: ['auditor'] }),
    payroll: await as('payroll', { kind: 'app', scopes: ['sign-in:read', 'challenges:write'] }), kiosk: await as('kiosk', { kind: 'app', scopes: ['challenges:write'] }),
  }
}
