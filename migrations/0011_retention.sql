-- The audit log by months, with a checkpoint where its oldest part was dropped; and retention in batches that hold nobody up.

-- The owner moves all rows once. Row-level security is forced for the owner, too.
alter table audit_events no force row level security;
alter table audit_seals no force row level security;

-- A seal says when its row was written, so that the month to look in is known. Replicas of the version before do not say it.
alter table audit_seals add column event_at timestamptz(3);
update audit_seals s set event_at = e.at from audit_events e where e.tenant_id = s.tenant_id and e.id = s.event_id;
update audit_seals set event_at = sealed_at where event_at is null;
alter table audit_seals alter column event_at set not null, force row level security;
create index audit_seals_by_time on audit_seals (event_at, tenant_id, sequence);

create function time_of_sealed_event () returns trigger language plpgsql as $$
begin
  new.event_at := coalesce((select min(e.at) from audit_events e where e.tenant_id = new.tenant_id and e.id = new.event_id), new.sealed_at);
  return new;
end $$;
create trigger time_of_sealed_event before insert on audit_seals for each row when (new.event_at is null) execute function time_of_sealed_event();

drop index audit_events_of_user;
alter table audit_events rename to audit_events_before;
alter table audit_events_before rename constraint audit_events_pkey to audit_events_before_pkey;

-- Insert-only for every role of the service. row_mac covers all other columns. It does not refer to tenants, as its seals
-- do: making and dropping a month would lock those.
create table audit_events (
  tenant_id        uuid not null,
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
  primary key (tenant_id, id, at)
) partition by range (at);
create index audit_events_of_user on audit_events (user_id, tenant_id, at) where user_id is not null;
create index audit_events_by_time on audit_events (at, id, tenant_id); -- with the id, so that whichever index a plan takes finds one row
call latchkey_internal.isolate('audit_events');
grant select, insert on audit_events to latchkey_services, latchkey_workers;

-- The months stand apart from the tables of the service, which has no right to any of them: it goes through the table.
-- Here go the rows of a time that has no month yet: those of a sandbox whose clock is ahead.
create table latchkey_internal.audit_events_default partition of audit_events default;
call latchkey_internal.isolate('latchkey_internal.audit_events_default');

-- Makes the month of a time, unless it is there. What the default holds of it moves; nobody else can look meanwhile.
create procedure latchkey_internal.make_audit_month (at timestamptz) language plpgsql set timezone = 'UTC' as $$
declare
  first constant timestamptz := date_trunc('month', at);
  month constant text := format('latchkey_internal.%I', 'audit_events_' || to_char(first, 'YYYY_MM'));
  bounds constant text := format('from (%L) to (%L)', first, first + interval '1 month');
begin
  if to_regclass(month) is not null then return; end if;
  execute format('create table %s (like public.audit_events including defaults including constraints including indexes)', month);
  alter table latchkey_internal.audit_events_default no force row level security;
  execute format('with moved as (delete from latchkey_internal.audit_events_default d where d.at >= %L and d.at < %L returning d.*) insert into %s select * from moved',
    first, first + interval '1 month', month);
  alter table latchkey_internal.audit_events_default force row level security;
  execute format('call latchkey_internal.isolate(%L)', month);
  execute format('alter table public.audit_events attach partition %s for values %s', month, bounds);
end $$;

-- The months of this time and the two after it, so that a job that fails has two months to be repaired. What would have
-- to wait for others gives up, and is tried again by the next call.
create function latchkey_internal.make_audit_months_at (at timestamptz) returns void language plpgsql set timezone = 'UTC' set lock_timeout = '500ms' as $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended('latchkey audit months', 0)) then return; end if;
  for ahead in 0 .. 2 loop
    call latchkey_internal.make_audit_month(date_trunc('month', at) + make_interval(months => ahead));
  end loop;
end $$;

-- The months of what is there.
do $$
declare
  month timestamptz;
begin
  for month in (select distinct date_trunc('month', e.at, 'UTC') from audit_events_before e where e.at < now() and e.at > now() - interval '2 years') loop
    call latchkey_internal.make_audit_month(month);
  end loop;
  perform latchkey_internal.make_audit_months_at(now());
end $$;
alter table audit_events no force row level security;
insert into audit_events select * from audit_events_before;
alter table audit_events force row level security;
drop table audit_events_before;

-- Where the chain goes on after its oldest part was dropped. Insert-only. mac covers all other columns.
create table audit_checkpoints (
  tenant_id        uuid not null references tenants (tenant_id),
  sequence         bigint not null check (sequence > 0), -- the last number that was dropped
  head             bytea not null,                       -- its seal
  events           integer not null,                     -- how many numbers it dropped
  faults           integer not null,                     -- how many of them were altered or missing even then
  made_at          timestamptz(3) not null,              -- the server's own clock
  mac_key_version  integer not null,
  mac              bytea not null,
  primary key (tenant_id, sequence)
);
call latchkey_internal.isolate('audit_checkpoints');
grant select on audit_checkpoints to latchkey_services;
grant select, insert on audit_checkpoints to latchkey_workers;

-- What was numbered before this time may go: by whole months, a day late, so that what is written at the very end of a
-- month and numbered in the next goes with it, and nothing before it is 400 days old.
create function latchkey_internal.audit_horizon (at timestamptz) returns timestamptz language sql immutable set timezone = 'UTC' as $$
  select date_trunc('month', at - interval '401 days') + interval '1 day' $$;

-- The last number of those at the beginning of the chain that may go, looking at so many; null if none may. In a sandbox
-- what is 400 days old by its own clock may go as well.
create function latchkey_internal.audit_cut (server_time timestamptz, rows_max integer) returns bigint language sql stable as $$
  with oldest as (
         select s.sequence, s.sealed_at < (select latchkey_internal.audit_horizon(server_time)) or (t.sandbox and s.event_at < (select tenant_now()) - interval '400 days') as due
           from public.tenants t
          cross join lateral (select * from public.audit_seals x where x.tenant_id = t.tenant_id order by x.sequence limit rows_max) as s
          where t.tenant_id = current_tenant())
  select max(o.sequence) from oldest o where o.sequence < coalesce((select min(n.sequence) from oldest n where not n.due), 9223372036854775807)
$$;

-- Drops numbered rows of the tenant that may go and lie below a checkpoint, and what has no number and lies in a month
-- that goes. Answers how many: a batch, and 0 if another does it at the moment.
create function latchkey_internal.forget_audit_at (rows_max integer, server_time timestamptz) returns integer language plpgsql volatile set timezone = 'UTC' as $$
declare
  tenant constant uuid := current_tenant();
  month_start constant timestamptz := latchkey_internal.audit_horizon(server_time) - interval '1 day';
  up_to bigint;
  gone integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('forget audit ' || tenant, 0)) then return 0; end if;
  -- Where either is missing nothing may go.
  up_to := least(coalesce((select max(c.sequence) from public.audit_checkpoints c where c.tenant_id = tenant), 0), coalesce(latchkey_internal.audit_cut(server_time, rows_max), 0));
  with seals as (
         delete from public.audit_seals s where s.tenant_id = tenant and s.sequence <= up_to and up_to > 0 returning s.event_id, s.event_at),
       rows as (
         delete from public.audit_events e using seals s where e.tenant_id = tenant and e.id = s.event_id and e.at = s.event_at returning 1)
  select count(*) into gone from seals;
  if gone > 0 then return gone; end if;
  delete from public.audit_events e where e.tenant_id = tenant and (e.id, e.at) in (
    select x.id, x.at from public.audit_events x
     where x.tenant_id = tenant and x.at < month_start
       and not exists (select from public.audit_seals s where s.tenant_id = tenant and s.event_id = x.id)
       and not exists (select from public.audit_unsealed u where u.tenant_id = tenant and u.event_id = x.id) limit rows_max);
  get diagnostics gone = row_count;
  return gone;
end $$;

-- Drops the months of which nothing is left. That locks the whole log for a moment: who would have to wait for that
-- gives up, and is tried again by the next call.
create function latchkey_internal.drop_audit_months_at (at timestamptz) returns integer language plpgsql volatile set timezone = 'UTC' set lock_timeout = '200ms' as $$
declare
  month record;
  occupied boolean;
  dropped integer := 0;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('latchkey audit months', 0)) then return 0; end if;
  for month in (
    select format('%I.%I', n.nspname, c.relname) as name from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
     where i.inhparent = 'public.audit_events'::regclass and c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
       and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' < latchkey_internal.audit_horizon(at) order by 1)
  loop
    begin
      execute format('alter table %s no force row level security', month.name);
      execute format('select exists (select from %s)', month.name) into occupied;
      if occupied then
        execute format('alter table %s force row level security', month.name);
      else
        execute format('drop table %s', month.name);
        dropped := dropped + 1;
      end if;
    exception when lock_not_available then null;
    end;
  end loop;
  return dropped;
end $$;

-- What the workers may call: the same with the rights of the owner, by the server's clock and no other.
create function latchkey_internal.forget_audit (rows_max integer) returns integer
  language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$ select latchkey_internal.forget_audit_at(rows_max, now()) $$;
create function latchkey_internal.tend_audit_months () returns integer
  language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform latchkey_internal.make_audit_months_at(now());
  return latchkey_internal.drop_audit_months_at(now());
end $$;
revoke execute on all routines in schema latchkey_internal from public;
grant execute on function latchkey_internal.forget_audit (integer), latchkey_internal.tend_audit_months (), latchkey_internal.audit_cut (timestamptz, integer),
  latchkey_internal.audit_horizon (timestamptz) to latchkey_workers;

-- Retention. Each call is a transaction of its own and takes one batch of one kind; what another holds is left for the
-- next. Whoever starts a challenge waits for none of it.
create index contact_methods_to_erase on contact_methods (removed_at, tenant_id) where status = 'removed' and value is not null;
create index sandbox_messages_by_age on sandbox_messages (created_at, tenant_id);

-- Forgets what is over: challenges and their messages 30 days after they ended, the values of methods that were removed 30
-- days ago (their record stays), the inbox of a sandbox, counts that hold nobody back any more. Answers whether there may
-- be more.
create or replace function forget_what_is_over (rows_max integer) returns boolean language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  month constant interval := interval '30 days';
  old uuid[];
  forgotten integer;
begin
  -- A challenge ends 15 minutes after it began at the latest, one to verify a value as well.
  old := array(select c.id from challenges c where c.tenant_id = tenant and c.created_at < now_there - month - interval '15 minutes'
                  and (c.proof_issued_at is null or c.proof_issued_at < now() - interval '1 hour') -- a proof ends by the server's own clock
                order by c.created_at limit rows_max for update skip locked);
  if cardinality(old) > 0 then
    delete from messages m where m.tenant_id = tenant and m.challenge_id = any (old);
    delete from challenges c where c.tenant_id = tenant and c.id = any (old);
    return true;
  end if;
  update contact_methods m
     set value = null, value_index = null, destination_index = null, extension = null,
         pending_value = null, pending_value_index = null, pending_destination_index = null, pending_extension = null
   where m.tenant_id = tenant and m.id in (
     select x.id from contact_methods x where x.tenant_id = tenant and x.status = 'removed' and x.value is not null and x.removed_at < now_there - month
      order by x.removed_at limit rows_max for update skip locked);
  if found then return true; end if;
  delete from sandbox_messages s where s.tenant_id = tenant and s.id in (
    select x.id from sandbox_messages x where x.tenant_id = tenant and x.created_at < now_there - month order by x.created_at limit rows_max);
  if found then return true; end if;
  delete from prefix_sends p where p.tenant_id = tenant and p.prefix_index in (
    select x.prefix_index from prefix_sends x where x.tenant_id = tenant and x.touched_at < now() - month limit rows_max for update skip locked);
  get diagnostics forgotten = row_count;
  delete from send_budgets b where b.tenant_id = tenant and b.day < (now_there at time zone 'UTC')::date - 2;
  delete from prefix_blocks b where b.tenant_id = tenant and b.blocked_until < now_there - month;
  return forgotten = rows_max;
end $$;

-- There is a row for each user and each number, touched by every send: so these are read from end to end by their key, so
-- many at a time, rather than by an index that every send would have to write. Each answers where to go on, or null.
create function forget_windows (after text, rows_max integer) returns text language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  looked_at text[] := array(select w.bucket from send_windows w where w.tenant_id = tenant and w.bucket > after order by w.bucket limit rows_max);
begin
  delete from send_windows w where w.tenant_id = tenant and w.bucket in (
    select x.bucket from send_windows x where x.tenant_id = tenant and x.bucket = any (looked_at) and x.touched_at < now() - interval '2 days'
       and not exists (select from unnest(x.taken_at) as at where at > now_there - interval '1 day') for update skip locked);
  return looked_at[rows_max];
end $$;

create function forget_destinations (after bytea, rows_max integer) returns bytea language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  month_ago constant timestamptz := tenant_now() - interval '30 days';
  looked_at bytea[] := array(select d.destination_index from destination_sends d where d.tenant_id = tenant and d.destination_index > after order by d.destination_index limit rows_max);
begin
  delete from destination_sends d where d.tenant_id = tenant and d.destination_index in (
    select x.destination_index from destination_sends x where x.tenant_id = tenant and x.destination_index = any (looked_at)
       and not exists (select from unnest(x.sent_at) as at where at > month_ago) for update skip locked);
  return looked_at[rows_max];
end $$;

grant execute on function forget_windows (text, integer), forget_destinations (bytea, integer) to latchkey_workers;
grant select, delete on sandbox_messages, destination_sends to latchkey_workers;
