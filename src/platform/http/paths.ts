import type { FastifyInstance } from 'fastify'

/** Which methods a path answers, whatever its parameters: for 405 and its `Allow`. */
export interface KnownPaths { methodsOf: (url: string) => string[] }

/** Collects the routes as they are registered; create it before the first of them. */
export function knownPaths (app: FastifyInstance): KnownPaths {
  const routes: Array<{ pattern: RegExp, methods: string[] }> = []
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ pattern: patternOf(url), methods: [method].flat() })
  })
  return {
    methodsOf (url) {
      const path = pathOf(url)
      return [...new Set(routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))].toSorted()
    },
  }
}

/** The path as the router reads it: without scheme, host, query and fragment, percent-decoded. */
function pathOf (target: string): string {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

const patternOf = (url: string) =>
  new RegExp(`^${url.split('/').map((part) => part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('/')}$`)
