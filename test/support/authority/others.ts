/** What callers hear about someone else. How a cell is read says `rows.ts`. */

/** Someone like most. */
export const ordinary = `
                       user reader helpd privA policA audit stale next  apps
GET user               404  200    200   200   404    404   200   404   404   users:read=200
GET user?reveal        404  rvl    rvl   200   404    404   401   404   404   users:read=rvl
PUT user               role role   role  200   role   role  401   201   scope users:write=200
PUT user:email         role role   role  200   role   role  401   201   scope users:write=200
PUT user:status        role role   role  200   role   role  401   201   scope users:write=200
DELETE privilege       role role   role  204   role   role  401   404   scope
GET methods            404  200    200   200   404    404   200   404   404   contact-methods:read=200
GET methods?reveal     404  rvl    rvl   200   404    404   401   404   404   contact-methods:read=rvl
GET method             404  200    200   200   404    404   200   404   404   contact-methods:read=200
POST method            404  404    201   201   404    404   401   404   404   contact-methods:write=201
POST method:vouched    404  404    role  vouch 404    404   401   404   404   contact-methods:write=scope
PATCH method           404  404    200   200   404    404   401   404   404   contact-methods:write=proof
PATCH method:value     404  404    200   200   404    404   401   404   404   contact-methods:write=proof
DELETE method          404  404    204   204   404    404   401   404   404   contact-methods:write=proof
PUT default            404  404    200   200   404    404   401   404   404   contact-methods:write=proof
GET authenticators     404  200    200   200   404    404   200   404   404   contact-methods:read=200
GET authenticator      404  200    200   200   404    404   200   404   404   contact-methods:read=200
DELETE authenticator   404  404    204   204   404    404   401   404   404   contact-methods:write=proof
POST pass              role role   201   201   role   role  401   404   scope
start verifyContact    404  404    404   404   404    404   404   404   404   challenges:write=201
start signIn           404  404    404   404   404    404   404   404   404   challenges:write=201
start stepUp           404  404    404   404   404    404   404   404   404   challenges:write=201
start recovery         404  404    404   404   404    404   404   404   404   challenges:write=201
start transaction      404  404    404   404   404    404   404   404   404   challenges:write=201
start callerCheck      role role   201   201   role   role  201   404   scope
GET lockout            404  200    200   200   404    404   200   404   404   sign-in:read=200
DELETE lockout         role role   204   204   role   role  401   404   scope
POST revocation        404  404    201   201   404    404   401   404   404   mfa-resets:write=201
GET requirements       404  200    200   200   404    404   200   404   404   sign-in:read=200
POST reset             role role   201   201   role   role  401   404   scope mfa-resets:write=201
POST reset?dryRun      role role   yes   yes   role   role  yes   404   scope mfa-resets:write=yes
GET resets             404  200    200   200   404    404   200   404   404   mfa-resets:write=200
POST offboarding       role role   role  201   role   role  401   404   scope
POST offboarding?dry   role role   role  yes   role   role  yes   404   scope
GET offboarding        role 404    404   404   role   role  404   404   scope
DELETE offboarding     role role   role  404   role   role  401   404   scope
GET export             404  404    404   200   404    404   401   404   404
GET timeline           404  200    200   200   404    404   200   404   404
GET allowed-actions    404  200    200   200   404    404   200   404   404   users:read=200
`

/** What an administrator does to a privileged user waits for a second one; the help desk and apps do nothing to them. */
export const privileged = `
                       user reader helpd privA policA audit stale next  apps
GET user               404  200    200   200   404    404   200   404   404   users:read=200
GET user?reveal        404  rvl    rvl   200   404    404   401   404   404   users:read=rvl
PUT user               role role   role  200   role   role  401   201   scope users:write=priv
PUT user:email         role role   role  202   role   role  401   201   scope users:write=priv
PUT user:status        role role   role  202   role   role  401   201   scope users:write=priv
DELETE privilege       role role   role  202   role   role  401   404   scope
GET methods            404  200    200   200   404    404   200   404   404   contact-methods:read=200
GET methods?reveal     404  rvl    rvl   200   404    404   401   404   404   contact-methods:read=rvl
GET method             404  200    200   200   404    404   200   404   404   contact-methods:read=200
POST method            404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
POST method:vouched    404  404    priv  vouch 404    404   401   404   404   contact-methods:write=priv
PATCH method           404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
PATCH method:value     404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
DELETE method          404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
PUT default            404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
GET authenticators     404  200    200   200   404    404   200   404   404   contact-methods:read=200
GET authenticator      404  200    200   200   404    404   200   404   404   contact-methods:read=200
DELETE authenticator   404  404    priv  202   404    404   401   404   404   contact-methods:write=priv
POST pass              role role   priv  202   role   role  401   404   scope
start verifyContact    404  404    404   404   404    404   404   404   404   challenges:write=201
start signIn           404  404    404   404   404    404   404   404   404   challenges:write=201
start stepUp           404  404    404   404   404    404   404   404   404   challenges:write=201
start recovery         404  404    404   404   404    404   404   404   404   challenges:write=201
start transaction      404  404    404   404   404    404   404   404   404   challenges:write=201
start callerCheck      role role   priv  201   role   role  201   404   scope
GET lockout            404  200    200   200   404    404   200   404   404   sign-in:read=200
DELETE lockout         role role   priv  204   role   role  401   404   scope
POST revocation        404  404    priv  201   404    404   401   404   404   mfa-resets:write=priv
GET requirements       404  200    200   200   404    404   200   404   404   sign-in:read=200
POST reset             role role   priv  202   role   role  401   404   scope mfa-resets:write=priv
POST reset?dryRun      role role   no:privileged_target waits role role waits 404 scope mfa-resets:write=no:privileged_target
GET resets             404  200    200   200   404    404   200   404   404   mfa-resets:write=200
POST offboarding       role role   role  202   role   role  401   404   scope
POST offboarding?dry   role role   role  waits role   role  waits 404   scope
GET offboarding        role 404    404   404   role   role  404   404   scope
DELETE offboarding     role role   role  404   role   role  401   404   scope
GET export             404  404    404   200   404    404   401   404   404
GET timeline           404  200    200   200   404    404   200   404   404
GET allowed-actions    404  200    200   200   404    404   200   404   404   users:read=200
`

/** Read as before until the data is erased; nothing is done to them but taking them back. A blind app hears of nobody. */
export const offboarded = `
                       user reader helpd privA policA audit stale next  apps
GET user               404  200    200   200   404    404   200   404   404   users:read=200
GET user?reveal        404  rvl    rvl   200   404    404   401   404   404   users:read=rvl
PUT user               role role   role  gone  role   role  401   201   scope users:write=gone
DELETE privilege       role role   role  gone  role   role  gone  404   scope
GET methods            404  200    200   200   404    404   200   404   404   contact-methods:read=200
GET methods?reveal     404  rvl    rvl   200   404    404   401   404   404   contact-methods:read=rvl
GET method             404  404    404   404   404    404   404   404   404
POST method            404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
POST method:vouched    404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
PATCH method           404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
DELETE method          404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
PUT default            404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
GET authenticators     404  200    200   200   404    404   200   404   404   contact-methods:read=200
DELETE authenticator   404  404    gone  gone  404    404   gone  404   404   contact-methods:write=gone
POST pass              role role   gone  gone  role   role  gone  404   scope
start signIn           404  404    404   404   404    404   404   404   404   challenges:write=201
start stepUp           404  404    404   404   404    404   404   404   404   challenges:write=201
start recovery         404  404    404   404   404    404   404   404   404   challenges:write=201
start callerCheck      role role   gone  gone  role   role  gone  404   scope
GET lockout            404  200    200   200   404    404   200   404   404   sign-in:read=200
DELETE lockout         role role   gone  gone  role   role  gone  404   scope
POST revocation        404  404    gone  gone  404    404   gone  404   404   mfa-resets:write=gone
GET requirements       404  200    200   200   404    404   200   404   404   sign-in:read=200
POST reset             role role   gone  gone  role   role  gone  404   scope mfa-resets:write=gone
POST reset?dryRun      role role   no:user_offboarded no:user_offboarded role role no:user_offboarded 404 scope mfa-resets:write=no:user_offboarded
GET resets             404  200    200   200   404    404   200   404   404   mfa-resets:write=200
POST offboarding       role role   role  gone  role   role  gone  404   scope
POST offboarding?dry   role role   role  no:user_offboarded role role no:user_offboarded 404 scope
GET offboarding        role 200    200   200   role   role  200   404   scope
DELETE offboarding     role role   role  204   role   role  401   404   scope
GET export             404  404    404   200   404    404   401   404   404
GET timeline           404  200    200   200   404    404   200   404   404
GET allowed-actions    404  200    200   200   404    404   200   404   404   users:read=200
`

/** Nobody here has this id; or a neighbour tenant has. The answers are the same. */
export const unknown = `
                       user reader helpd privA policA audit stale apps
GET user               404  404    404   404   404    404   404   404
GET user?reveal        404  404    404   404   404    404   404   404
PUT user               role role   role  201   role   role  401   scope users:write=201
DELETE privilege       role role   role  404   role   role  404   scope
GET methods            404  404    404   404   404    404   404   404
GET methods?reveal     404  404    404   404   404    404   404   404
GET method             404  404    404   404   404    404   404   404
POST method            404  404    404   404   404    404   404   404
POST method:vouched    404  404    404   404   404    404   404   404
PATCH method           404  404    404   404   404    404   404   404
DELETE method          404  404    404   404   404    404   404   404
PUT default            404  404    404   404   404    404   404   404
GET authenticators     404  404    404   404   404    404   404   404
GET authenticator      404  404    404   404   404    404   404   404
DELETE authenticator   404  404    404   404   404    404   404   404
POST pass              role role   404   404   role   role  404   scope
start signIn           404  404    404   404   404    404   404   404   challenges:write=201
start recovery         404  404    404   404   404    404   404   404   challenges:write=201
start callerCheck      role role   404   404   role   role  404   scope
GET lockout            404  404    404   404   404    404   404   404
DELETE lockout         role role   404   404   role   role  404   scope
POST revocation        404  404    404   404   404    404   404   404
GET requirements       404  404    404   404   404    404   404   404
POST reset             role role   404   404   role   role  404   scope mfa-resets:write=404
POST reset?dryRun      role role   404   404   role   role  404   scope mfa-resets:write=404
GET resets             404  404    404   404   404    404   404   404
POST offboarding       role role   role  404   role   role  404   scope
POST offboarding?dry   role role   role  404   role   role  404   scope
GET offboarding        role 404    404   404   role   role  404   scope
DELETE offboarding     role role   role  404   role   role  404   scope
GET export             404  404    404   404   404    404   404   404
GET timeline           404  404    404   404   404    404   404   404
GET allowed-actions    404  404    404   404   404    404   404   404
`
