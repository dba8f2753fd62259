-- Temporary access passes, challenges that have nothing to send, and caller checks that arm a reset or a pass once.
--
-- Whoever locks several rows takes them in this order: user, code_failures, passes, challenges, and then the sends.

create table passes (
  tenant_id         uuid not null,
  id                uuid not null,
  user_id           text not null collate "C",
  code_mac          bytea not null,   -- HMAC of the value, whose key is not here
  code_key_version  integer not null,
  mfa_epoch         integer not null, -- of the user when it was issued: a reset makes it worthless
  starts_at         timestamptz not null,
  expires_at        timestamptz not null,
  one_time          boolean not null,
  wrong_tries       smallint not null default 0, -- in a row, over all challenges; counted before they are judged
  used_at           timestamptz,      -- last
  uses              integer not null default 0,
  void_at           timestamptz,
  basis             text check (basis in ('callerCheck', 'inPerson')),
  issued_by         text not null,
  version           integer not null default 1,
  created_at        timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id),
  constraint a_pass_ends_after_it_starts check (expires_at > starts_at)
);
-- One at a time for a user: a new one makes the one before void, used up or over as it may be.
create unique index passes_one_of_user on passes (user_id, tenant_id) where void_at is null;
call latchkey_internal.isolate('passes');

alter table challenges
  -- What has nothing to send goes nowhere and has no code of its own.
  alter column destination drop not null,
  alter column code_length drop not null,
  alter column resend_available_at drop not null,
  add column shown_method_id uuid, -- what its starter sees instead of `method_id`: who may not know of a pass sees the same id with and without one
  add column spent_at timestamptz; -- when a caller check armed a reset or a pass

-- Whether a pass could be used now by someone who knows it.
create function pass_is_good (p passes, at timestamptz) returns boolean language sql immutable as $$
  select p.void_at is null and p.wrong_tries < 5 and p.starts_at <= at and p.expires_at > at and (not p.one_time or p.used_at is null) $$;

-- Makes the pass of a user void (this one, if one is named), and ends the challenges for it but `spared`; with `seeing_only` those
-- of starters who may not know go on, and no code is right. Gives the pass where it was still worth something. The user must be locked.
create function void_pass (subject text, wanted uuid, spared uuid, seeing_only boolean) returns table (voided uuid) language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  p passes;
begin
  update passes x set void_at = now_there where x.tenant_id = tenant and x.user_id = subject and x.void_at is null and x.id = coalesce(wanted, x.id) returning x.* into p;
  if not found then return; end if;
  perform from challenges c where c.tenant_id = tenant and c.method_id = p.id and c.user_id = subject and c.status = 'pending' and not c.decoy order by c.id for no key update;
  update challenges c set status = 'canceled', ended_at = now_there
   where c.tenant_id = tenant and c.method_id = p.id and c.user_id = subject and c.status = 'pending' and c.expires_at > now_there
     and not c.decoy and c.id is distinct from spared and not (seeing_only and c.blind);
  if p.expires_at > now_there and not (p.one_time and p.used_at is not null) then voided := p.id; return next; end if;
end $$;

-- The pass of a user as it is, or the one that is named, if that was theirs.
create function read_pass (tenant uuid, subject text, wanted uuid)
  returns table (id uuid, code_mac bytea, code_key_version integer, mfa_epoch integer, wrong_tries smallint, good boolean) language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select p.id, p.code_mac, p.code_key_version, p.mfa_epoch, p.wrong_tries, pass_is_good(p, tenant_now())
      from passes p where p.tenant_id = tenant and p.user_id = subject and case when wanted is null then p.void_at is null else p.id = wanted end;
end $$;

-- As before, and for a pass: five wrong tries in a row over all its challenges end it, whatever challenges are started anew, and
-- none of them counts towards the lock of the user, which does not hold here.
create or replace function take_attempt (wanted uuid, by_kind text, by_id text)
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
  pass_tries smallint;
begin
  select * into c from challenges x where x.tenant_id = tenant and x.id = wanted and x.starter_kind = by_kind and x.starter_id = by_id;
  if not found or c.status <> 'pending' or c.attempts >= c.attempts_max or c.expires_at <= now_there then return; end if;
  if not c.decoy and c.channel = 'temporaryAccessPass' then
    update passes x set wrong_tries = x.wrong_tries + 1
     where x.tenant_id = tenant and x.id = c.method_id and x.user_id = c.user_id and pass_is_good(x, now_there)
    returning x.wrong_tries into pass_tries;
    if pass_tries is null then
      if not c.blind then return; end if;
      c.decoy := true; -- its starter may not hear that the pass is gone: to them it is one more wrong code
    end if;
  elsif not c.decoy and c.purpose <> 'callerCheck' then
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
  if counted or pass_tries is not null or c.decoy or c.purpose = 'callerCheck' then
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
      if pass_tries is not null then
        update passes x set wrong_tries = greatest(0, x.wrong_tries - 1) where x.tenant_id = tenant and x.id = c.method_id;
      end if;
      return;
    end if;
    outcome := 'judge';
  else
    outcome := 'locked';
  end if;
  at := now_there; locked_until := f.locked_until; in_a_row := f.in_a_row; on_method := coalesce(pass_tries, (f.by_method ->> c.method_id::text)::integer);
  id := c.id; user_id := c.user_id; method_id := c.method_id; purpose := c.purpose; channel := c.channel; code_mac := c.code_mac;
  code_key_version := c.code_key_version; attempts := c.attempts; attempts_max := c.attempts_max; destination_index := c.destination_index;
  mfa_epoch := c.mfa_epoch; context_hash := c.context_hash; decoy := c.decoy; blind := c.blind;
  return next;
end $$;

-- As before; a challenge by pass stands on the pass. One that had its fifth wrong try since is not good for a start.
create or replace function still_holds (guard jsonb, for_user text) returns boolean language plpgsql volatile as $$
begin
  if guard is null then return true; end if; -- a decoy for nobody
  perform from users u where u.tenant_id = current_tenant() and u.user_id = for_user and u.status = 'active' and u.mfa_epoch = (guard ->> 'epoch')::integer for no key update;
  if not found then return false; end if;
  return case when guard ? 'passId'
                then exists (select from passes p where p.tenant_id = current_tenant() and p.id = (guard ->> 'passId')::uuid and p.user_id = for_user and pass_is_good(p, tenant_now()))
              else exists (select from contact_methods m where m.tenant_id = current_tenant() and m.id = (guard ->> 'methodId')::uuid and m.version = (guard ->> 'methodVersion')::integer
                              and m.status = guard ->> 'methodStatus') end
     and exists (select from policies p where p.tenant_id = current_tenant() and p.version = (guard ->> 'policyVersion')::integer);
end $$;

-- As before; without `sends` there is nothing to send, and no limit of sends is touched.
create or replace function start_challenge (given jsonb, lifetime_seconds integer, message jsonb, event jsonb, guard jsonb, sends jsonb)
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
  if sends is null then
    remaining := 0;
  else
    select t.refused_by, t.available_at, t.remaining into refused_by, available_at, remaining from take_send(c.id, c.user_id, c.destination_index, sends) as t;
  end if;
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

-- As before, and for a pass: of several right uses at once, of one challenge or of several, a pass that is good once gives one.
create or replace function approve_challenge (wanted uuid, judged_mac bytea, event jsonb)
  returns table (outcome text, issued_at timestamptz) language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  c challenges;
  others uuid[];
  stands boolean;
begin
  select * into c from challenges x where x.tenant_id = tenant and x.id = wanted;
  perform from users u where u.tenant_id = tenant and u.user_id = c.user_id and u.status = 'active' and u.mfa_epoch = c.mfa_epoch for no key update;
  stands := found;
  if stands and c.channel = 'temporaryAccessPass' then
    perform from code_failures f where f.tenant_id = tenant and f.user_id = c.user_id for no key update;
    perform from passes p
      where p.tenant_id = tenant and p.id = c.method_id and p.user_id = c.user_id and p.void_at is null and p.starts_at <= now_there and p.expires_at > now_there
        and (not p.one_time or p.used_at is null) for no key update;
    stands := found;
  elsif stands and c.purpose <> 'verifyContact' then
    stands := exists (select from contact_methods m where m.tenant_id = tenant and m.id = c.method_id and m.status = 'active' and m.destination_index = c.destination_index);
  end if;
  if not stands then
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
  if c.channel = 'temporaryAccessPass' then
    update passes p set used_at = now_there, uses = p.uses + 1, wrong_tries = 0 where p.tenant_id = tenant and p.id = c.method_id;
    others := array(select x.id from challenges x join passes p on p.tenant_id = tenant and p.id = x.method_id and p.one_time
                     where x.tenant_id = tenant and x.user_id = c.user_id and x.method_id = c.method_id and x.status = 'pending' and x.expires_at > now_there and not x.blind
                     order by x.id for no key update of x);
    update challenges x set status = 'canceled', ended_at = now_there where x.tenant_id = tenant and x.id = any (others);
  elsif c.purpose = 'verifyContact' then
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
  if c.channel <> 'temporaryAccessPass' then perform forget_sends(c.id, c.user_id, c.destination_index, c.prefix_index); end if;
  if event is not null then perform write_send(null, 0, event); end if;
  outcome := 'approved';
  return next;
end $$;

grant execute on function pass_is_good (passes, timestamptz), void_pass (text, uuid, uuid, boolean), read_pass (uuid, text, uuid) to latchkey_services;
grant select, insert, update on passes to latchkey_services;
