import { hash } from 'node:crypto'
import type { Choice } from './sign-in.ts'

const style = `
:root { color-scheme: light dark; --ink: #1a2230; --soft: #4d5869; --line: #c9d0da; --paper: #fff; --ground: #f3f5f8; --brand: #1d4ed8; --on-brand: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf3; --soft: #b0bac9; --line: #3c4657; --paper: #1b212c; --ground: #12161e; --brand: #9dbcff; --on-brand: #101623 }
}
* { box-sizing: border-box }
body { margin: 0; padding: 2rem 1rem; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 48rem; margin: 0 auto }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25 }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem }
h3 { margin: 0; font-size: 1rem }
p { margin: .25rem 0; color: var(--soft) }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: .6rem; background: var(--paper) }
li { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; justify-content: space-between; padding: .8rem 1rem }
li + li { border-top: 1px solid var(--line) }
.who { flex: 1 1 14rem }
.how { display: flex; flex-wrap: wrap; gap: .5rem }
button { min-height: 2.75rem; padding: .4rem .9rem; border: 1px solid var(--brand); border-radius: .4rem; background: var(--paper); color: var(--brand); font: inherit; cursor: pointer }
button.first { background: var(--brand); color: var(--on-brand) }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px }
.leave { margin-top: 2rem }
`
const styleSource = `'sha256-${hash('sha256', style, 'base64')}'`

/** A page that runs no script, loads nothing and may be framed by nobody. `returnsTo` is where its form may lead. */
export function page (title: string, content: { heading: string, text: string, html?: string }, returnsTo = '') {
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src ${styleSource}; form-action 'self' ${returnsTo}; base-uri 'none'; frame-ancestors 'none'`,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} · Latchkey development</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escape(content.heading)}</h1>
<p>${escape(content.text)}</p>
${content.html ?? ''}
</main>
</body>
</html>
`
  return { headers, html }
}

export function signInPage (clientName: string, choices: readonly Choice[], returnsTo: string) {
  const tenants = Map.groupBy(choices, ({ user }) => user.tenant)
  const sections = [...tenants].map(([tenant, ofTenant]) => `
<section aria-labelledby="tenant-${escape(tenant)}">
<h2 id="tenant-${escape(tenant)}">Tenant ${escape(tenant)}</h2>
<ul>${[...Map.groupBy(ofTenant, ({ user }) => user).values()].map(person).join('')}
</ul>
</section>`)
  return page('Sign in', {
    heading: 'Who do you want to be?',
    text: `${clientName} asks you to sign in. This is the development issuer: there are no passwords, and nothing here is real.`,
    html: `<form method="post">${sections.join('')}
<p class="leave"><button name="as" value="nobody">Cancel</button></p>
</form>`,
  }, returnsTo)
}

const person = (choices: readonly Choice[]) => choices.slice(0, 1).map(({ user }) => `
<li>
<div class="who"><h3>${escape(user.title)}</h3><p>${escape(user.subject)} (${escape(user.roles.join(', ') || 'no role')})</p></div>
<div class="how">${choices.map(button).join('')}</div>
</li>`).join('')

const button = ({ value, label }: Choice, index: number) =>
  `<button name="as" value="${escape(value)}"${index === 0 ? ' class="first"' : ''}>${escape(label)}</button>`

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
