/** The key ring of every test: two versions, so that both the newest and an older key are in use. */
export const testKeyRingText = `1:${Buffer.alloc(32, 'a').toString('base64')},2:${Buffer.alloc(32, 'b').toString('base64')}`
