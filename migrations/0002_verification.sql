-- Challenges of every purpose, decoys, and the limits. All counts are rows here, so that any number of replicas share them.
-- Whoever locks several of these takes them in this order: user, code_failures, challenges, send_windows (of the user,
-- then of the client address), prefix_sends, send_budgets, destination_sends.

alter table challenges
  drop constraint challenges_tenant_id_user_id_fkey, -- a decoy is for nobody
  drop constraint challenges_tenant_id_method_id_fkey,
  add column decoy boolean not null default false,   -- no code is right
  add column blind boolean not null default false,   -- its starter may not learn whether the user can be reached
  add column attempted_at timestamptz,               -- when the last attempt was counted
  add column prefix_index bytea,                     -- blind index of the number's prefix, where its sends count against that
  add column address_bucket text,                    -- of the client address that came with the start: what is sent again counts there, too
  add column context_hash bytea,
  add column context_display bytea,                  -- sealed
  add column proof_issued_at timestamptz;            -- the server's own clock: proofs do not move with a sandbox

-- Wrong codes in a row. Each attempt is counted before it is judged; a right code clears the count.
create table code_failures (
  tenant_id     uuid not null references tenants (tenant_id),
  user_id       text not null collate "C",
  in_a_row      integer not null default 0,
  locked_until  timestamptz,
  by_method     jsonb not null default '{}', -- method id → wrong codes in a row on it
  primary key (tenant_id, user_id)
);
call latchkey_internal.isolate('code_failures');

-- Sliding windows of a user, a client address, a caller: when they took one, and for what.
create table send_windows (
  tenant_id   uuid not null references tenants (tenant_id),
  bucket      text not null,
  taken_at    timestamptz[] not null default '{}',
  taken_for   uuid[] not null default '{}',
  touched_at  timestamptz not null default now(), -- the server's own clock
  primary key (tenant_id, bucket)
);
call latchkey_internal.isolate('send_windows');

-- Sends to the numbers of one prefix that nobody in the tenant has verified yet, by second, and how the last 50 of them fared.
create table prefix_sends (
  tenant_id     uuid not null references tenants (tenant_id),
  prefix_index  bytea not null,
  seconds       bigint[] not null default '{}', -- since 1970, rounded up
  counts        integer[] not null default '{}',
  recent        uuid[] not null default '{}',
  verified      boolean[] not null default '{}',
  touched_at    timestamptz not null default now(), -- the server's own clock
  primary key (tenant_id, prefix_index)
);
call latchkey_internal.isolate('prefix_sends');

create table prefix_blocks (
  tenant_id      uuid not null references tenants (tenant_id),
  prefix         text not null check (prefix ~ '^[0-9]{1,7}$'),
  blocked_at     timestamptz not null,
  blocked_until  timestamptz not null,
  primary key (tenant_id, prefix)
);
call latchkey_internal.isolate('prefix_blocks');

-- The tenant's budget of sends of one day (UTC), in sixteen parts, so that starts do not queue behind one row. What was
-- sent is spread over the parts anew when the budget changes: so that all of them together never hold more than it.
create table send_budgets (
  tenant_id  uuid not null references tenants (tenant_id),
  day        date not null,
  slot       smallint not null check (slot between 0 and 15),
  whole      integer not null,
  sent       integer not null default 0,
  primary key (tenant_id, day, slot)
);
call latchkey_internal.isolate('send_budgets');

-- 10 wrong codes in a row lock for 15 minutes; every 5 more double it, up to 24 hours.
create function lock_end (in_a_row integer, at timestamptz) returns timestamptz language sql immutable as $$
  select case when in_a_row >= 10 and in_a_row % 5 = 0
              then at + least(interval '15 minutes' * power(2, least((in_a_row - 10) / 5, 10)), interval '24 hours') end $$;

-- The functions below find every row by a key. A plan that was made while a table was still empty would read all of it, and
-- a connection keeps its plans until the next `analyze`: so they may not read a table from end to end.

-- Counts an attempt before anything is compared: of any number of parallel checks at most attempts_max of a challenge,
-- and none of a locked user, get the outcome "judge". Decoys count like the others and are judged like the others.
create function take_attempt (wanted uuid, by_kind text, by_id text)
  returns table (outcome text, at timestamptz, locked_until timestamptz, in_a_row integer, on_method integer,
                 id uuid, user_id text, method_id uuid, purpose text, channel text, code_mac bytea, code_key_version integer, attempts smallint,
                 attempts_max smallint, destination_index bytea, mfa_epoch integer, context_hash bytea, decoy boolean, blind boolean)
  language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  c challenges;
  f code_failures;
  counted boolean := false;
begin
  select * into c from challenges x where x.tenant_id = tenant and x.id = wanted and x.starter_kind = by_kind and x.starter_id = by_id;
  if not found or c.status <> 'pending' or c.attempts >= c.attempts_max or c.expires_at <= now_there then return; end if;
  if not c.decoy and c.purpose <> 'callerCheck' then
    insert into code_failures as x (tenant_id, user_id, in_a_row, by_method)
    values (tenant, c.user_id, 1, jsonb_build_object(c.method_id, 1))
    on conflict (tenant_id, user_id) do update
       set in_a_row = x.in_a_row + 1, locked_until = lock_end(x.in_a_row + 1, now_there),
           by_method = x.by_method || jsonb_build_object(c.method_id, coalesce((x.by_method ->> c.method_id::text)::integer, 0) + 1)
     where (x.locked_until is null or x.locked_until <= now_there) and coalesce((x.by_method ->> c.method_id::text)::integer, 0) < 50
    returning x.* into f;
    counted := found;
    if not counted then
      select * into f from code_failures x where x.tenant_id = tenant and x.user_id = c.user_id;
      -- Its starter may not hear of the lock: to them it is one more wrong code.
      c.decoy := c.blind;
    end if;
  end if;
  if counted or c.decoy or c.purpose = 'callerCheck' then
    update challenges x set attempts = x.attempts + 1, attempted_at = now_there
     where x.tenant_id = tenant and x.id = wanted and x.status = 'pending' and x.attempts < x.attempts_max and x.used_at is null and x.expires_at > now_there
       and (x.decoy or x.mfa_epoch = (select u.mfa_epoch from users u where u.tenant_id = tenant and u.user_id = x.user_id))
    returning x.attempts into c.attempts;
    if not found then
      if counted then -- another ended it meanwhile; the lock on the row makes this exact
        update code_failures x set in_a_row = x.in_a_row - 1, locked_until = null,
               by_method = x.by_method || jsonb_build_object(c.method_id, (x.by_method ->> c.method_id::text)::integer - 1)
         where x.tenant_id = tenant and x.user_id = c.user_id;
      end if;
      return;
    end if;
    outcome := 'judge';
  else
    outcome := 'locked';
  end if;
  at := now_there; locked_until := f.locked_until; in_a_row := f.in_a_row; on_method := (f.by_method ->> c.method_id::text)::integer;
  id := c.id; user_id := c.user_id; method_id := c.method_id; purpose := c.purpose; channel := c.channel; code_mac := c.code_mac;
  code_key_version := c.code_key_version; attempts := c.attempts; attempts_max := c.attempts_max; destination_index := c.destination_index;
  mfa_epoch := c.mfa_epoch; context_hash := c.context_hash; decoy := c.decoy; blind := c.blind;
  return next;
end $$;

-- Locks a window and says when it has room again; null where it has room now.
create function window_room (wanted text, taken_max integer, window_length interval, at timestamptz default tenant_now()) returns timestamptz language plpgsql volatile as $$
declare
  recent timestamptz[];
begin
  loop
    select w.taken_at into recent from send_windows w where w.tenant_id = current_tenant() and w.bucket = wanted for no key update;
    exit when found;
    insert into send_windows (tenant_id, bucket) values (current_tenant(), wanted) on conflict do nothing;
  end loop;
  -- One of the future was taken before a sandbox's clock was moved back.
  select coalesce(array_agg(s order by s), '{}') into recent from unnest(recent) as s where s > at - window_length and s <= at + interval '5 seconds';
  if cardinality(recent) < taken_max then return null; end if;
  return recent[cardinality(recent) - taken_max + 1] + window_length;
end $$;

-- Takes one of a window that was found to have room, and says how many are taken now.
create function window_take (wanted text, subject uuid, window_length interval, at timestamptz default tenant_now()) returns timestamptz[] language sql volatile as $$
  update send_windows w
     set (taken_at, taken_for) = (
           select array_agg(s order by s), array_agg(c order by s)
             from (select s, c from unnest(w.taken_at, w.taken_for) as u (s, c) where s > at - window_length and s <= at + interval '5 seconds'
                   union all select at, subject) as kept),
         touched_at = now()
   where w.tenant_id = current_tenant() and w.bucket = wanted
  returning w.taken_at;
$$;

-- How many of a whole belong to one of sixteen parts.
create function share_of (whole integer, slot integer) returns integer language sql immutable as $$ select (whole + 15 - slot) / 16 $$;

-- Spreads what was sent today over the parts of a whole, also of one that did not hold until now.
create function spread_budget (today date, new_whole integer) returns void language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
begin
  insert into send_budgets (tenant_id, day, slot, whole) select tenant, today, s, new_whole from generate_series(0, 15) as s on conflict do nothing;
  perform from send_budgets b where b.tenant_id = tenant and b.day = today order by b.slot for no key update;
  update send_budgets b set whole = new_whole, sent = share_of((select sum(a.sent)::integer from send_budgets a where a.tenant_id = tenant and a.day = today), b.slot)
   where b.tenant_id = tenant and b.day = today and b.whole <> new_whole;
end $$;

-- Takes one send of today's budget and says from which part; null where it is used up. The last 30 % are for methods that
-- were verified before, and are touched last, so that whoever may only use the rest is refused from exactly 70 % on.
create function take_budget (whole integer, proven boolean, at timestamptz default tenant_now()) returns integer language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  today constant date := (at at time zone 'UTC')::date;
  open_to_all constant integer := (whole::bigint * 7 / 10)::integer;
  first constant integer := floor(random() * 16);
  chosen integer;
  room integer; -- how much of the whole may be used up with this one
  parts integer;
  used_up boolean;
begin
  loop
    room := open_to_all;
    select b.slot into chosen from send_budgets b
     where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole and b.sent < share_of(room, b.slot) order by (b.slot - first + 16) % 16 limit 1;
    if not found and proven then
      room := whole;
      select b.slot into chosen from send_budgets b
       where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole and b.sent < share_of(room, b.slot) order by (b.slot - first + 16) % 16 limit 1;
    end if;
    if chosen is null then
      -- Looked at once more, in one statement: another may have made the parts since.
      select count(*), bool_and(b.sent >= share_of(room, b.slot)) into parts, used_up from send_budgets b where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole;
      if parts = 16 and used_up then return null; end if;
      if parts < 16 then perform spread_budget(today, whole); end if;
    else
      begin
        update send_budgets b set sent = b.sent + 1
         where b.tenant_id = tenant and b.day = today and b.slot = chosen and b.whole = take_budget.whole and b.sent < share_of(room, chosen);
        if found then return chosen; end if;
        raise exception 'another took the last of it' using errcode = 'LK001';
      exception when sqlstate 'LK001' then null; -- which gives the lock on that part back: nobody waits for one while holding another
      end;
    end if;
  end loop;
end $$;

-- Whether a prefix has room: null; or why not.
create function prefix_fault (prefix text, key bytea, per_hour integer, out refused_by text, out available_at timestamptz) language plpgsql volatile as $$
declare
  at constant timestamptz := tenant_now();
  this_second constant bigint := floor(extract(epoch from at));
  p prefix_sends;
  sent integer;
begin
  select b.blocked_until into available_at from prefix_blocks b where b.tenant_id = current_tenant() and b.prefix = prefix_fault.prefix and b.blocked_until > at;
  if found then refused_by := 'prefix'; return; end if;
  loop
    insert into prefix_sends (tenant_id, prefix_index) values (current_tenant(), key) on conflict do nothing;
    select * into p from prefix_sends x where x.tenant_id = current_tenant() and x.prefix_index = key for no key update;
    exit when found; -- else it was forgotten in between
  end loop;
  sent := (select coalesce(sum(c), 0) from unnest(p.seconds, p.counts) as u (s, c) where s > this_second - 3600 and s <= this_second + 6);
  if sent >= per_hour and (select count(*) from unnest(p.verified) as v where v) * 5 <= cardinality(p.verified) then
    refused_by := 'prefixBreach'; available_at := at + interval '12 hours';
  end if;
end $$;

create function prefix_take (key bytea, challenge uuid) returns void language plpgsql volatile as $$
declare
  this_second constant bigint := ceil(extract(epoch from tenant_now()));
  p prefix_sends;
begin
  select * into p from prefix_sends x where x.tenant_id = current_tenant() and x.prefix_index = key for no key update;
  select array_agg(s order by s), array_agg(c order by s) into p.seconds, p.counts
    from (select s, sum(c)::integer as c
            from (select s, c from unnest(p.seconds, p.counts) as u (s, c) where s >= this_second - 3600 and s <= this_second + 6
                  union all select this_second, 1) as each group by s) as by_second;
  p.recent := p.recent || challenge;
  p.verified := p.verified || false;
  update prefix_sends x set seconds = p.seconds, counts = p.counts, touched_at = now(),
         recent = p.recent[greatest(1, cardinality(p.recent) - 49):], verified = p.verified[greatest(1, cardinality(p.verified) - 49):]
   where x.tenant_id = current_tenant() and x.prefix_index = key;
end $$;

-- Takes one send from every bucket it counts in, or from none: then refused_by names the one without room, and
-- available_at when it has room. Each row is locked until the transaction ends, so that replicas together stay within.
create function take_send (challenge uuid, for_user text, destination bytea, sends jsonb, out refused_by text, out available_at timestamptz, out remaining integer)
  language plpgsql volatile as $$
declare
  user_bucket constant text := case when (sends ->> 'stray')::boolean then 'stray:' else 'user:' end || for_user;
  address_bucket constant text := sends ->> 'addressBucket';
  -- What was verified before: this method, or this number by anyone in the tenant.
  proven constant boolean := (sends ->> 'proven')::boolean or exists (
    select from contact_methods m where m.tenant_id = current_tenant() and m.status = 'active'
       and m.value_index in (select v::bytea from jsonb_array_elements_text(sends -> 'valueIndexes') as v));
  prefix_key constant bytea := case when not proven then (sends ->> 'prefixIndex')::bytea end;
  now_there constant timestamptz := tenant_now();
  hour constant interval := interval '1 hour';
  budget_slot integer;
  taken record;
  taken_at timestamptz[];
begin
  available_at := window_room(user_bucket, (sends ->> 'userPerHour')::integer, hour, now_there);
  if available_at is not null then refused_by := 'user'; return; end if;
  if address_bucket is not null then
    available_at := window_room(address_bucket, (sends ->> 'clientAddressPerHour')::integer, hour, now_there);
    if available_at is not null then refused_by := 'clientAddress'; return; end if;
  end if;
  if prefix_key is not null then
    select f.refused_by, f.available_at into refused_by, available_at from prefix_fault(sends ->> 'prefix', prefix_key, (sends ->> 'prefixPerHour')::integer) as f;
    if refused_by is not null then return; end if;
  end if;
  budget_slot := take_budget((sends ->> 'sendsPerDay')::integer, proven, now_there);
  if budget_slot is null then
    refused_by := 'budget';
    available_at := (date_trunc('day', now_there at time zone 'UTC') + interval '1 day') at time zone 'UTC';
    return;
  end if;
  select * into taken from take_destination_send(destination, challenge, (sends ->> 'destinationPerTenMinutes')::integer, (sends ->> 'destinationPerDay')::integer);
  available_at := taken.available_at;
  if not taken.taken or not (sends ->> 'paid')::boolean then -- a refused send and a decoy cost nothing
    update send_budgets b set sent = b.sent - 1
     where b.tenant_id = current_tenant() and b.day = (now_there at time zone 'UTC')::date and b.slot = budget_slot;
  end if;
  if not taken.taken then refused_by := 'destination'; return; end if;
  remaining := taken.remaining;
  -- What is said of the next send holds for every window that a resend meets.
  taken_at := window_take(user_bucket, challenge, hour, now_there);
  remaining := least(remaining, (sends ->> 'userPerHour')::integer - cardinality(taken_at));
  if remaining = 0 then available_at := greatest(available_at, taken_at[cardinality(taken_at) - (sends ->> 'userPerHour')::integer + 1] + hour); end if;
  if address_bucket is not null then
    taken_at := window_take(address_bucket, challenge, hour, now_there);
    remaining := least(remaining, (sends ->> 'clientAddressPerHour')::integer - cardinality(taken_at));
    if remaining = 0 then available_at := greatest(available_at, taken_at[cardinality(taken_at) - (sends ->> 'clientAddressPerHour')::integer + 1] + hour); end if;
  end if;
  if prefix_key is not null then perform prefix_take(prefix_key, challenge); end if;
end $$;

-- The sends of an approved challenge do not count against the user and the destination.
create function forget_sends (challenge uuid, for_user text, destination bytea, prefix_key bytea) returns void language plpgsql volatile as $$
begin
  update send_windows w
     set (taken_at, taken_for) = (
           select coalesce(array_agg(s order by s), '{}'), coalesce(array_agg(c order by s), '{}') from unnest(w.taken_at, w.taken_for) as u (s, c) where c <> challenge)
   where w.tenant_id = current_tenant() and w.bucket = 'user:' || for_user;
  if prefix_key is not null then
    update prefix_sends p
       set verified = (select array_agg(v or r = challenge order by n) from unnest(p.recent, p.verified) with ordinality as u (r, v, n))
     where p.tenant_id = current_tenant() and p.prefix_index = prefix_key and challenge = any (p.recent);
  end if;
  perform forget_destination_sends(destination, challenge, true);
end $$;

-- Nor does the newest send of a challenge, if no provider took it. What went out before does.
create function forget_newest_send (challenge uuid, for_user text, destination bytea) returns void language plpgsql volatile as $$
begin
  update send_windows w
     set (taken_at, taken_for) = (
           select coalesce(array_agg(s order by n), '{}'), coalesce(array_agg(c order by n), '{}') from unnest(w.taken_at, w.taken_for) with ordinality as u (s, c, n)
            where n is distinct from (select max(m) from unnest(w.taken_for) with ordinality as o (of, m) where of = challenge))
   where w.tenant_id = current_tenant() and w.bucket = 'user:' || for_user;
  update destination_sends d
     set (sent_at, challenge_ids) = (
           select coalesce(array_agg(s order by n), '{}'), coalesce(array_agg(c order by n), '{}') from unnest(d.sent_at, d.challenge_ids) with ordinality as u (s, c, n)
            where n is distinct from (select max(m) from unnest(d.challenge_ids) with ordinality as o (of, m) where of = challenge)),
         steps = greatest(0, d.steps - (challenge = any (d.challenge_ids))::integer)
   where d.tenant_id = current_tenant() and d.destination_index = destination;
end $$;

-- Everything that must be known to judge a start, in one round trip. Without the user their columns are null. `former` is
-- the wanted method, if it was the user's and is removed.
create function read_challenge_setting (tenant uuid, wanted_user text, wanted_method uuid default null)
  returns table (at timestamptz, server_now timestamptz, tenant_created_at timestamptz, policy_version integer, policy jsonb, organization text, default_country text,
                 status text, privileged boolean, mfa_epoch integer, first_registered_at timestamptz, locked_until timestamptz, by_method jsonb, methods jsonb, former jsonb)
  language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select tenant_now(), statement_timestamp(), t.created_at, p.version, p.document, o.name, o.default_country, u.status, u.privileged, u.mfa_epoch, u.first_registered_at, f.locked_until, f.by_method,
           (select jsonb_agg(m order by m.created_at, m.id) from contact_methods m where m.tenant_id = tenant and m.user_id = wanted_user and m.status <> 'removed'),
           (select to_jsonb(m) from contact_methods m where m.tenant_id = tenant and m.id = wanted_method and m.user_id = wanted_user and m.status = 'removed')
      from policies p
      join tenants t on t.tenant_id = p.tenant_id
      join organizations o on o.tenant_id = p.tenant_id
      left join users u on u.tenant_id = tenant and u.user_id = wanted_user
      left join code_failures f on f.tenant_id = tenant and f.user_id = wanted_user
     where p.tenant_id = tenant;
end $$;

-- Whether what a message was prepared from still holds, with the user locked: else it must be prepared again.
create function still_holds (guard jsonb, for_user text) returns boolean language plpgsql volatile as $$
begin
  if guard is null then return true; end if; -- a decoy for nobody
  perform from users u where u.tenant_id = current_tenant() and u.user_id = for_user and u.status = 'active' and u.mfa_epoch = (guard ->> 'epoch')::integer for no key update;
  if not found then return false; end if;
  return exists (select from contact_methods m where m.tenant_id = current_tenant() and m.id = (guard ->> 'methodId')::uuid and m.version = (guard ->> 'methodVersion')::integer
                    and m.status = guard ->> 'methodStatus')
     and exists (select from policies p where p.tenant_id = current_tenant() and p.version = (guard ->> 'policyVersion')::integer);
end $$;

-- Writes a sealed message and the audit row that belongs to it.
create function write_send (message jsonb, useful_seconds integer, event jsonb) returns void language plpgsql volatile as $$
declare
  m messages := jsonb_populate_record(null::messages, message);
  e audit_events := jsonb_populate_record(null::audit_events, event);
begin
  if message is not null then
    m.created_at := tenant_now(); m.queued_at := clock_timestamp(); m.state := 'queued'; m.tries := 0;
    m.send_before := clock_timestamp() + make_interval(secs => useful_seconds);
    insert into messages values (m.*);
  end if;
  insert into audit_events values (e.*);
  insert into audit_unsealed values (e.tenant_id, e.id);
end $$;

-- Starts a challenge and writes its message, or does nothing and says why: "stale" (prepare it again), "locked" or "refused".
-- A newer challenge of the same caller for the same user, purpose and method cancels the older one.
create function start_challenge (given jsonb, lifetime_seconds integer, message jsonb, event jsonb, guard jsonb, sends jsonb)
  returns table (outcome text, refused_by text, available_at timestamptz, pending_id uuid, remaining integer, created_at timestamptz, expires_at timestamptz)
  language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
declare
  now_there constant timestamptz := tenant_now();
  c challenges := jsonb_populate_record(null::challenges, given);
  superseded uuid[];
begin
  if not still_holds(guard, c.user_id) then outcome := 'stale'; return next; return; end if;
  superseded := array(
    select x.id from challenges x
     where x.tenant_id = c.tenant_id and x.user_id = c.user_id and x.status = 'pending' and x.purpose = c.purpose and x.method_id = c.method_id
       and x.starter_kind = c.starter_kind and x.starter_id = c.starter_id and x.expires_at > now_there order by x.id for no key update);
  select t.refused_by, t.available_at, t.remaining into refused_by, available_at, remaining from take_send(c.id, c.user_id, c.destination_index, sends) as t;
  if refused_by is not null then
    outcome := 'refused';
    pending_id := (select x.id from challenges x
                    where x.tenant_id = c.tenant_id and x.user_id = c.user_id and x.status = 'pending' and x.purpose = c.purpose and x.starter_kind = c.starter_kind and x.starter_id = c.starter_id
                      and x.destination_index = c.destination_index and x.expires_at > now_there order by x.id desc limit 1);
    return next; return;
  end if;
  if cardinality(superseded) > 0 then
    update challenges x set status = 'canceled', ended_at = now_there where x.tenant_id = c.tenant_id and x.id = any (superseded);
    update messages m set state = 'failed', ended_at = now_there, recipient = null, content = null
     where m.tenant_id = c.tenant_id and m.challenge_id = any (superseded) and m.state = 'queued';
  end if;
  c.created_at := now_there;
  c.expires_at := now_there + make_interval(secs => lifetime_seconds);
  c.resend_available_at := available_at;
  c.sends_remaining := remaining;
  insert into challenges values (c.*);
  perform write_send(message, lifetime_seconds, event);
  outcome := 'started'; created_at := c.created_at; expires_at := c.expires_at;
  return next;
end $$;

-- Sends a new code for a challenge; from now on the old one is wrong. 15 minutes after the start it ends.
create function resend_challenge (wanted uuid, mac bytea, key_version integer, digits integer, lifetime_seconds integer, message jsonb, event jsonb, guard jsonb, sends jsonb)
  returns table (outcome text, refused_by text, available_at timestamptz) language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  c challenges;
  left_over integer;
  ends_at timestamptz;
begin
  select * into c from challenges x where x.tenant_id = tenant and x.id = wanted;
  if not still_holds(guard, c.user_id) then outcome := 'stale'; return next; return; end if;
  select * into c from challenges x
   where x.tenant_id = tenant and x.id = wanted and x.status = 'pending' and x.attempts < x.attempts_max and x.expires_at > now_there
     and (guard is null or x.mfa_epoch = (guard ->> 'epoch')::integer) for no key update;
  if not found then outcome := 'ended'; return next; return; end if;
  select t.refused_by, t.available_at, t.remaining into refused_by, available_at, left_over from take_send(c.id, c.user_id, c.destination_index, sends) as t;
  if refused_by is not null then outcome := 'refused'; return next; return; end if;
  update messages m set state = 'failed', ended_at = now_there, recipient = null, content = null
   where m.tenant_id = tenant and m.challenge_id = wanted and m.state = 'queued';
  ends_at := least(now_there + make_interval(secs => lifetime_seconds), c.created_at + interval '15 minutes');
  update challenges x set code_mac = mac, code_key_version = key_version, code_length = digits, resend_available_at = available_at, sends_remaining = left_over, expires_at = ends_at
   where x.tenant_id = tenant and x.id = wanted;
  perform write_send(message, ceil(extract(epoch from ends_at - now_there))::integer, event);
  outcome := 'sent';
  return next;
end $$;

-- Exactly one of several right codes gets the outcome "approved", and only for the code that was judged. With it go the
-- counts that it clears; the caller adds the rest in the same transaction. "gone": the user or the method is not what it
-- was, and the challenge is canceled. "replaced": a resend came first, so that the code is a wrong one now. A value that is
-- verified ends the challenges of the old one, and what others had started to verify it: nothing of it waits any more. The
-- verdict on a last attempt comes within 10 seconds or not at all: after 30 the challenge reads as exhausted.
create function approve_challenge (wanted uuid, judged_mac bytea, event jsonb)
  returns table (outcome text, issued_at timestamptz) language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  c challenges;
  others uuid[];
begin
  select * into c from challenges x where x.tenant_id = tenant and x.id = wanted;
  perform from users u where u.tenant_id = tenant and u.user_id = c.user_id and u.status = 'active' and u.mfa_epoch = c.mfa_epoch for no key update;
  if not found or (c.purpose <> 'verifyContact' and not exists (
    select from contact_methods m where m.tenant_id = tenant and m.id = c.method_id and m.status = 'active' and m.destination_index = c.destination_index))
  then
    update challenges x set status = 'canceled', ended_at = now_there where x.tenant_id = tenant and x.id = wanted and x.status = 'pending';
    outcome := case when found then 'gone' else 'ended' end;
    return next; return;
  end if;
  perform from code_failures f where f.tenant_id = tenant and f.user_id = c.user_id for no key update;
  update challenges x set status = 'approved', used_at = now_there, ended_at = now_there, proof_issued_at = date_trunc('milliseconds', statement_timestamp())
   where x.tenant_id = tenant and x.id = wanted and x.status = 'pending' and x.used_at is null and x.code_mac = judged_mac
     and (x.attempts < x.attempts_max or x.attempted_at > now_there - interval '10 seconds')
  returning x.proof_issued_at into issued_at;
  if not found then
    outcome := case when exists (select from challenges x where x.tenant_id = tenant and x.id = wanted and x.status = 'pending' and x.code_mac <> judged_mac) then 'replaced' else 'ended' end;
    return next; return;
  end if;
  if c.purpose = 'verifyContact' then
    others := array(select x.id from challenges x where x.tenant_id = tenant and x.user_id = c.user_id and x.method_id = c.method_id and x.status = 'pending' and x.expires_at > now_there
                       and (x.purpose = 'verifyContact' or x.destination_index <> c.destination_index) order by x.id for no key update);
    if cardinality(others) > 0 then
      update challenges x set status = 'canceled', ended_at = now_there where x.tenant_id = tenant and x.id = any (others);
      update messages m set state = 'failed', ended_at = now_there, recipient = null, content = null
       where m.tenant_id = tenant and m.challenge_id = any (others) and m.state = 'queued';
    end if;
  else
    update contact_methods m set last_used_at = now_there where m.tenant_id = tenant and m.id = c.method_id;
  end if;
  if c.purpose <> 'callerCheck' then
    update code_failures f set in_a_row = 0, locked_until = null, by_method = f.by_method - c.method_id::text where f.tenant_id = tenant and f.user_id = c.user_id;
  end if;
  perform forget_sends(c.id, c.user_id, c.destination_index, c.prefix_index);
  if event is not null then perform write_send(null, 0, event); end if;
  outcome := 'approved';
  return next;
end $$;

grant execute on all functions in schema public to latchkey_services, latchkey_workers;
grant select, insert, update on code_failures, send_windows, prefix_sends, prefix_blocks, send_budgets to latchkey_services;
grant delete on code_failures, prefix_blocks to latchkey_services;
grant select, update on code_failures, send_windows, prefix_sends to latchkey_workers;
