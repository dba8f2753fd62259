// As much of curl as the README's first call needs, for a machine that has none: -s, -H and -d.
const words = process.argv.slice(2)
const headers = {}
let body
let url
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word === '-H') {
    const [name, ...value] = words.shift().split(':')
    headers[name] = value.join(':').trim()
  } else if (word === '-d') body = words.shift()
  else if (word !== '-s') url = word.includes('://') ? word : `http://${word}`
}
const answer = await fetch(url, { method: body === undefined ? 'GET' : 'POST', headers, body })
process.stdout.write(await answer.text())
