-- Tenants, people, contact methods, challenges, messages, audit.
-- Every table: the tenant leads its keys, row-level security is enabled and forced. Login roles are members of
-- latchkey_services or latchkey_workers, which `npm run migrate` makes before this file runs.

create schema if not exists latchkey_internal;

-- The tenant of the transaction, or null outside one: a setting that was local reads as '' afterwards.
create function current_tenant () returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('latchkey.tenant', true), '')::uuid $$;

-- Enables and forces row-level security on a table and lets a transaction see the rows of its own tenant only.
create procedure latchkey_internal.isolate (target regclass) language plpgsql as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy tenant_isolation on %s using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', target);
end $$;

create table tenants (
  tenant_id             uuid primary key,
  slug                  text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  country               text check (country ~ '^[A-Z]{2}$'),
  sandbox               boolean not null default false,
  clock_offset_seconds  integer not null default 0 check (clock_offset_seconds between 0 and 43200000),
  created_at            timestamptz not null default now(),
  constraint clock_moves_in_a_sandbox_only check (sandbox or clock_offset_seconds = 0)
);
call latchkey_internal.isolate('tenants');
-- A token names its tenant by slug before the id is known: one row, by exact slug.
create policy workers_list on tenants for select to latchkey_workers using (true);
create policy found_by_slug on tenants for select using (slug = nullif(current_setting('latchkey.tenant_slug', true), ''));

-- The database's clock plus the sandbox tenant's offset, in whole milliseconds as answers show it.
create function tenant_now () returns timestamptz language sql stable
  as $$ select date_trunc('milliseconds', statement_timestamp())
          + coalesce((select make_interval(secs => clock_offset_seconds) from tenants where tenant_id = current_tenant()), interval '0') $$;

-- Makes the transaction see one tenant and answers that tenant's time.
create function enter_tenant (tenant uuid) returns timestamptz language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return tenant_now();
end $$;

create function tenant_by_slug (wanted text)
  returns table (tenant_id uuid, slug text, country text, sandbox boolean) language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant_slug', wanted, true);
  return query select t.tenant_id, t.slug, t.country, t.sandbox from tenants t where t.slug = wanted;
end $$;

create table organizations (
  tenant_id        uuid primary key references tenants (tenant_id),
  version          integer not null default 1,
  name             text,
  locale           text not null default 'en',
  default_country  text check (default_country ~ '^[A-Z]{2}$'),
  contacts         bytea, -- sealed JSON: address, phone, contacts
  created_at       timestamptz not null,
  updated_at       timestamptz not null
);
call latchkey_internal.isolate('organizations');

create table policies (
  tenant_id   uuid primary key references tenants (tenant_id),
  version     integer not null default 1,
  document    jsonb not null default '{}', -- what differs from the defaults
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);
call latchkey_internal.isolate('policies');

create table users (
  tenant_id             uuid not null references tenants (tenant_id),
  user_id               text not null collate "C" check (length(user_id) between 1 and 128),
  display_name          text,
  sign_in_email         bytea, -- sealed
  sign_in_email_index   bytea,
  locale                text,
  privileged            boolean not null default false,
  status                text not null default 'active' check (status in ('active', 'disabled', 'offboarded')),
  mfa_epoch             integer not null default 0,
  first_registered_at   timestamptz, -- when a method that counts for MFA first became active
  sessions_valid_from   timestamptz,
  devices_valid_from    timestamptz,
  version               integer not null default 1,
  created_at            timestamptz not null,
  updated_at            timestamptz not null,
  primary key (tenant_id, user_id)
);
create index users_by_name on users (tenant_id, lower(display_name) text_pattern_ops);
create index users_by_sign_in_email on users (tenant_id, sign_in_email_index);
call latchkey_internal.isolate('users');

create table contact_methods (
  tenant_id            uuid not null,
  id                   uuid not null,
  user_id              text not null collate "C",
  kind                 text not null check (kind in ('mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail')),
  place                smallint not null default 1, -- which of the kind's allowed places it takes
  status               text not null check (status in ('pending', 'active', 'disabled', 'removed')),
  label                text,
  value                bytea, -- sealed; null once erased
  value_index          bytea, -- blind index of the number or address alone: look-up
  destination_index    bytea, -- of number and extension: uniqueness, limits
  extension            bytea, -- sealed
  country              text,
  line_type            text,
  is_default           boolean not null default false,
  default_channel      text,
  wants_default        boolean not null default false, -- becomes the default once verified
  added_by             text not null check (added_by in ('self', 'administrator', 'app', 'import')),
  added_by_id          text not null,
  password_only        boolean not null default false, -- the value that waits was brought with nothing but a password
  pending_value              bytea,
  pending_value_index        bytea,
  pending_destination_index  bytea,
  pending_extension          bytea,
  pending_country            text,
  pending_line_type          text,
  pending_by                 text,
  pending_expires_at         timestamptz, -- of a pending method itself, or of its pending change
  pre_verified         boolean not null default false,
  created_at           timestamptz not null,
  verified_at          timestamptz,
  last_used_at         timestamptz,
  updated_at           timestamptz not null,
  disabled_at          timestamptz,
  removed_at           timestamptz,
  removed_by           text,
  version              integer not null default 1,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id),
  constraint only_a_removed_method_has_no_value check (value is not null or status = 'removed'),
  constraint the_default_is_active check (not is_default or status = 'active')
);
create unique index contact_methods_one_per_place on contact_methods (tenant_id, user_id, kind, place) where status in ('pending', 'active');
create unique index contact_methods_one_per_value on contact_methods (tenant_id, user_id, destination_index) where status in ('pending', 'active');
create unique index contact_methods_one_default on contact_methods (tenant_id, user_id) where is_default;
create index contact_methods_of_user on contact_methods (tenant_id, user_id, created_at, id) where status <> 'removed';
create index contact_methods_by_value on contact_methods (tenant_id, value_index) where status <> 'removed';
call latchkey_internal.isolate('contact_methods');

create table challenges (
  tenant_id            uuid not null,
  id                   uuid not null,
  user_id              text not null collate "C",
  method_id            uuid not null,
  purpose              text not null,
  channel              text not null,
  starter_kind         text not null check (starter_kind in ('person', 'app')),
  starter_id           text not null,
  status               text not null check (status in ('pending', 'approved', 'exhausted', 'expired', 'canceled', 'failed')),
  code_mac             bytea not null,
  code_key_version     integer not null,
  code_length          smallint not null,
  attempts             smallint not null default 0,
  attempts_max         smallint not null default 5,
  destination_index    bytea not null, -- the value the code was sent to: a changed value kills the challenge
  destination          text not null,  -- masked
  mfa_epoch            integer not null,
  used_at              timestamptz,
  created_at           timestamptz not null,
  expires_at           timestamptz not null,
  resend_available_at  timestamptz not null,
  sends_remaining      smallint not null,
  ended_at             timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id),
  foreign key (tenant_id, method_id) references contact_methods (tenant_id, id)
);
create index challenges_pending on challenges (tenant_id, user_id, purpose, method_id) where status = 'pending';
create index challenges_of_method on challenges (tenant_id, method_id);
call latchkey_internal.isolate('challenges');

-- The send limits of one destination: when codes went to it in the last day, without those whose code was approved.
create table destination_sends (
  tenant_id          uuid not null references tenants (tenant_id),
  destination_index  bytea not null,
  sent_at            timestamptz[] not null default '{}',
  challenge_ids      uuid[] not null default '{}',
  steps              smallint not null default 0, -- sends since a code was last approved
  primary key (tenant_id, destination_index)
);
call latchkey_internal.isolate('destination_sends');

-- Takes one send to a destination, or says when the next one may be. The row's lock makes callers take turns, so that
-- any number of replicas together stay within the limit.
create function take_destination_send (destination bytea, challenge uuid, per_ten_minutes integer, per_day integer)
  returns table (taken boolean, available_at timestamptz, remaining integer) language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  waits constant integer[] := '{30,60,120,300}';
  at timestamptz;
  row destination_sends;
  recent timestamptz[];
  recent_ids uuid[];
  sends integer;
  in_ten_minutes integer;
begin
  insert into destination_sends (tenant_id, destination_index) values (tenant, destination) on conflict do nothing;
  select * into row from destination_sends d where d.tenant_id = tenant and d.destination_index = destination for update;
  at := tenant_now();
  select coalesce(array_agg(s order by s), '{}'), coalesce(array_agg(c order by s), '{}') into recent, recent_ids
    from unnest(row.sent_at, row.challenge_ids) as u (s, c)
   -- A send of the future was made before a sandbox's clock was moved back.
   where s > at - interval '1 day' and s <= at + interval '5 seconds';
  sends := cardinality(recent);
  if sends = 0 then row.steps := 0; end if;

  available_at := at;
  if row.steps > 0 then
    available_at := recent[sends] + make_interval(secs => waits[least(row.steps, 4)]);
  end if;
  in_ten_minutes := (select count(*) from unnest(recent) as s where s > at - interval '10 minutes');
  if in_ten_minutes >= per_ten_minutes then
    available_at := greatest(available_at, recent[sends - per_ten_minutes + 1] + interval '10 minutes');
  end if;
  if sends >= per_day then
    available_at := greatest(available_at, recent[sends - per_day + 1] + interval '1 day');
  end if;
  if available_at > at then
    taken := false; remaining := 0;
    return next; return;
  end if;

  update destination_sends d set sent_at = recent || at, challenge_ids = recent_ids || challenge, steps = row.steps + 1
   where d.tenant_id = tenant and d.destination_index = destination;
  taken := true;
  remaining := least(per_ten_minutes - in_ten_minutes, per_day - sends) - 1;
  available_at := at + make_interval(secs => waits[least(row.steps + 1, 4)]);
  if remaining = 0 then -- the next send waits for the oldest one to leave its window
    if in_ten_minutes + 1 >= per_ten_minutes then
      available_at := greatest(available_at, (recent || at)[sends + 2 - per_ten_minutes] + interval '10 minutes');
    end if;
    if sends + 1 >= per_day then
      available_at := greatest(available_at, (recent || at)[sends + 2 - per_day] + interval '1 day');
    end if;
  end if;
  return next;
end $$;

-- The sends of a challenge that was approved, or that no provider took, do not count. Approval also restarts the waits.
create function forget_destination_sends (destination bytea, challenge uuid, approved boolean) returns void language sql volatile as $$
  update destination_sends d
     set (sent_at, challenge_ids) = (
           select coalesce(array_agg(s order by s), '{}'), coalesce(array_agg(c order by s), '{}')
             from unnest(d.sent_at, d.challenge_ids) as u (s, c) where c <> challenge),
         steps = case when approved then 0 else greatest(0, steps - (select count(*) from unnest(d.challenge_ids) as c where c = challenge)) end
   where d.tenant_id = current_tenant() and d.destination_index = destination;
$$;

-- The outbox and ledger of messages. Address and text are sealed, and erased once the send has ended.
create table messages (
  tenant_id     uuid not null,
  id            uuid not null,
  user_id       text not null collate "C",
  challenge_id  uuid,
  channel       text not null check (channel in ('sms', 'voice', 'email')),
  kind          text not null check (kind in ('code', 'notice')),
  recipient     bytea, -- sealed
  content       bytea, -- sealed JSON: subject, body, code
  state         text not null default 'queued' check (state in ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown')),
  tries         smallint not null default 0,
  lease_until   timestamptz, -- the server's own clock: leases do not move with a sandbox
  created_at    timestamptz not null,
  queued_at     timestamptz not null default clock_timestamp(),
  send_before   timestamptz not null, -- the server's own clock: a code that nobody could use any more is not sent
  ended_at      timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id),
  foreign key (tenant_id, challenge_id) references challenges (tenant_id, id)
);
create index messages_waiting on messages (queued_at) where state in ('queued', 'sending');
create index messages_of_challenge on messages (tenant_id, challenge_id, created_at desc);
call latchkey_internal.isolate('messages');
create policy workers_deliver on messages to latchkey_workers using (true) with check (true);

create table sandbox_messages (
  tenant_id        uuid not null references tenants (tenant_id),
  id               uuid not null,
  channel          text not null,
  kind             text not null,
  recipient        bytea not null, -- sealed
  recipient_index  bytea not null,
  content          bytea not null, -- sealed
  challenge_id     uuid,
  created_at       timestamptz not null,
  arrived          bigint generated always as identity,
  primary key (tenant_id, id)
);
create index sandbox_messages_newest on sandbox_messages (tenant_id, arrived desc);
create index sandbox_messages_to on sandbox_messages (tenant_id, recipient_index, arrived desc);
create index sandbox_messages_of_challenge on sandbox_messages (tenant_id, challenge_id, arrived desc);
call latchkey_internal.isolate('sandbox_messages');

create table sandbox_faults (
  tenant_id  uuid not null references tenants (tenant_id),
  channel    text not null check (channel in ('sms', 'voice', 'email')),
  mode       text not null check (mode in ('error', 'timeout', 'slow')),
  primary key (tenant_id, channel)
);
call latchkey_internal.isolate('sandbox_faults');

-- Insert-only for every role of the service. row_mac covers all other columns.
create table audit_events (
  tenant_id        uuid not null references tenants (tenant_id),
  id               uuid not null,
  at               timestamptz(3) not null, -- no finer than it is signed
  actor_kind       text not null check (actor_kind in ('person', 'app', 'operator', 'system')),
  actor            text not null,
  action           text not null,
  outcome          text not null check (outcome in ('done', 'refused')),
  user_id          text collate "C",
  request_id       text,
  details          text not null default '{}', -- JSON as it was signed
  mac_key_version  integer not null,
  row_mac          bytea not null,
  primary key (tenant_id, id)
);
create index audit_events_of_user on audit_events (tenant_id, user_id, at) where user_id is not null;
call latchkey_internal.isolate('audit_events');

-- Rows that committed and have no number yet. The sealer empties it.
create table audit_unsealed (
  tenant_id  uuid not null,
  event_id   uuid not null,
  primary key (tenant_id, event_id)
);
call latchkey_internal.isolate('audit_unsealed');
create policy workers_seal on audit_unsealed for select to latchkey_workers using (true);

-- The chain: each seal covers the one before it, its own number and time, and its row.
create table audit_seals (
  tenant_id        uuid not null references tenants (tenant_id),
  sequence         bigint not null,
  event_id         uuid not null,
  mac_key_version  integer not null,
  chain_mac        bytea not null,
  sealed_at        timestamptz(3) not null default clock_timestamp(),
  primary key (tenant_id, sequence),
  unique (tenant_id, event_id)
);
call latchkey_internal.isolate('audit_seals');

-- The same refusal is written at most once a minute; the others are counted here until then.
create table audit_refusals (
  tenant_id        uuid not null references tenants (tenant_id),
  fingerprint      bytea not null,
  last_written_at  timestamptz not null, -- the server's own clock
  uncounted        integer not null default 0,
  event            text not null, -- JSON of the row to write with the count
  primary key (tenant_id, fingerprint)
);
call latchkey_internal.isolate('audit_refusals');
create policy workers_count on audit_refusals for select to latchkey_workers using (true);

create table idempotency_keys (
  tenant_id    uuid not null references tenants (tenant_id),
  caller       text not null,
  key_mac      bytea not null,
  fingerprint  bytea not null,
  mac_key_version integer not null,
  answer       bytea, -- sealed JSON: status, headers, body
  expires_at   timestamptz not null, -- the server's own clock
  primary key (tenant_id, caller, key_mac)
);
create index idempotency_keys_expired on idempotency_keys (expires_at);
call latchkey_internal.isolate('idempotency_keys');
create policy workers_expire on idempotency_keys to latchkey_workers using (true) with check (true);

-- What every request of a person needs to know of that person, in one statement.
create function admit_person (tenant uuid, subject text)
  returns table (status text, privileged boolean, sessions_valid_from timestamptz, mfa_epoch integer,
                 strongest integer, server_now timestamptz)
  language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select u.status, u.privileged, u.sessions_valid_from, u.mfa_epoch,
           coalesce((select max(case when m.kind = 'alternateEmail' then 1 else 2 end) from contact_methods m
                      where m.tenant_id = tenant and m.user_id = subject and m.status = 'active'), 0),
           statement_timestamp()
      from (select 1) as always left join users u on u.tenant_id = tenant and u.user_id = subject;
end $$;

-- The list of a user's methods together with what must be known of the asking person: the hot read, one round trip.
-- Small statements on one key each cost less than one join of five tables, and every column that is not needed costs
-- on both ends; both were measured.
create function read_contact_methods (tenant uuid, subject text, wanted_user text)
  returns table (actor_status text, actor_privileged boolean, actor_sessions_valid_from timestamptz, server_now timestamptz,
                 tenant_at timestamptz, user_found boolean, email_counts boolean,
                 id uuid, kind text, label text, status text, value bytea, extension bytea, country text, line_type text, is_default boolean,
                 default_channel text, pending_value bytea, pending_extension bytea, pending_expires_at timestamptz, added_by text,
                 created_at timestamptz, verified_at timestamptz, last_used_at timestamptz, updated_at timestamptz, version integer)
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  around record;
  actor record;
  known boolean;
  at timestamptz;
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  select t.clock_offset_seconds as ahead, coalesce((p.document ->> 'emailCounts')::boolean, false) as email_counts into around
    from tenants t join policies p on p.tenant_id = t.tenant_id where t.tenant_id = tenant;
  at := date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => around.ahead); -- tenant_now(), without reading the tenant twice
  select u.status, u.privileged, u.sessions_valid_from into actor from users u where u.tenant_id = tenant and u.user_id = subject;
  known := case when wanted_user = subject then found else exists (select from users u where u.tenant_id = tenant and u.user_id = wanted_user) end;
  return query
    select actor.status, actor.privileged, actor.sessions_valid_from, statement_timestamp(), at, known, around.email_counts,
           m.id, m.kind, m.label, m.status, m.value, m.extension, m.country, m.line_type, m.is_default, m.default_channel, m.pending_value,
           m.pending_extension, m.pending_expires_at, m.added_by, m.created_at, m.verified_at, m.last_used_at, m.updated_at, m.version
      from (select) as always
      left join contact_methods m on m.tenant_id = tenant and m.user_id = wanted_user and m.status <> 'removed'
           and not (m.status = 'pending' and m.pending_expires_at <= at)
     order by m.created_at, m.id;
end $$;

grant usage on schema public to latchkey_services, latchkey_workers;
grant execute on all functions in schema public to latchkey_services, latchkey_workers;
grant select on tenants, organizations, policies, users, contact_methods, challenges, destination_sends, messages,
  sandbox_messages, sandbox_faults, audit_events, audit_unsealed, audit_seals, audit_refusals, idempotency_keys to latchkey_services;
grant insert, update on organizations, policies, users, contact_methods, challenges, destination_sends, audit_refusals, idempotency_keys to latchkey_services;
grant insert on audit_events, audit_unsealed, messages to latchkey_services;
grant update (state, ended_at, recipient, content) on messages to latchkey_services;
grant update (clock_offset_seconds) on tenants to latchkey_services;
grant delete on idempotency_keys, destination_sends to latchkey_services;
grant insert, update, delete on sandbox_faults to latchkey_services;

grant select on tenants, messages, challenges, sandbox_faults, audit_events, audit_unsealed, audit_seals, audit_refusals, idempotency_keys to latchkey_workers;
grant update on messages, audit_refusals, idempotency_keys to latchkey_workers; -- `for update` asks for it, too
grant update (status, ended_at) on challenges to latchkey_workers;
grant select, update on destination_sends to latchkey_workers;
grant insert on sandbox_messages, audit_seals, audit_events, audit_unsealed to latchkey_workers;
grant delete on audit_unsealed, audit_refusals, idempotency_keys to latchkey_workers;
