/** For themself everyone is a person like any other, and nobody is their own administrator. */
export const oneself = `
                       user reader helpd privA policA audit stale
GET user               200  200    200   200   200    200   200
GET user?reveal        200  200    200   200   200    200   200
PUT user               role role   role  self  role   role  self
PUT user:email         role role   role  self  role   role  self
PUT user:status        role role   role  self  role   role  self
DELETE privilege       role role   role  self  role   role  self
GET methods            200  200    200   200   200    200   200
GET methods?reveal     200  200    200   200   200    200   200
GET method             200  200    200   200   200    200   200
POST method            201  201    201   201   201    201   401
POST method:vouched    self self   self  self  self   self  401
PATCH method           200  200    200   200   200    200   401
PATCH method:value     200  200    200   200   200    200   401
DELETE method          204  204    204   204   204    204   401
PUT default            200  200    200   200   200    200   401
GET authenticators     200  200    200   200   200    200   200
GET authenticator      200  200    200   200   200    200   200
DELETE authenticator   204  204    204   204   204    204   401
POST pass              role role   self  self  role   role  self
start verifyContact    201  201    201   201   201    201   201
start signIn           purp purp   purp  purp  purp   purp  purp
start stepUp           201  201    201   201   201    201   201
start recovery         201  201    201   201   201    201   201
start transaction      purp purp   purp  purp  purp   purp  purp
start callerCheck      role role   self  self  role   role  self
GET lockout            200  200    200   200   200    200   200
DELETE lockout         role role   self  self  role   role  self
POST revocation        201  201    201   201   201    201   401
GET requirements       200  200    200   200   200    200   200
POST reset             role role   self  self  role   role  self
POST reset?dryRun      role role   self  self  role   role  self
GET resets             200  200    200   200   200    200   200
POST offboarding       role role   role  self  role   role  self
POST offboarding?dry   role role   role  self  role   role  self
DELETE offboarding     role role   role  self  role   role  self
GET export             200  200    200   200   200    200   401
GET timeline           200  200    200   200   200    200   200
GET allowed-actions    200  200    200   200   200    200   200
`

/** Routes of the tenant, and of what waits for a second person, and of a reset that is named by its id. `next` is in their own tenant where no id is named. */
export const tenant = `
                       user reader helpd privA policA audit stale next  apps
GET users              role 200    200   200   role   role  200   200   scope users:read=200
POST users/search      role 200    200   200   role   role  200   200   scope users:read=200
GET policy             role 200    200   200   200    role  200   200   scope
PATCH policy           role role   role  role  200    role  401   role  scope
PATCH policy?dryRun    role role   role  role  200    role  401   role  scope
PATCH policy:weaker    role role   role  role  202    role  401   role  scope
GET organization       role 200    200   200   200    role  200   200   scope
PATCH organization     role role   role  role  200    role  401   role  scope
PATCH security contact role role   role  role  202    role  401   role  scope
GET audit              role role   role  role  role   200   200   role  scope audit:read=200
GET audit/export       role role   role  role  role   200   401   role  scope audit:read=200
GET audit/verification role role   role  role  role   200   200   role  scope audit:read=200
GET prefix-blocks      role role   role  role  200    role  200   role  scope
DELETE prefix-block    role role   role  role  204    role  401   role  scope
GET approvals          role role   role  200   200    role  200   200   scope
GET approval           role role   role  200   404    role  200   404   scope
POST approve           role role   role  200   role   role  401   404   scope
POST approve:own       -    -      -     own   role   -     own   -     -
POST approve:about me  role role   role  self  role   role  self  -     -
POST reject            role role   role  200   404    role  401   404   scope
POST reject:about me   role role   role  self  404    role  self  -     -
POST collect           role role   role  404   404    role  404   404   scope
GET reset              404  200    200   200   404    404   200   404   404   mfa-resets:write=200
`
