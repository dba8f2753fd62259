-- What waits for a second person, and who used which role when.

-- The request is sealed, and erased once nothing can come of it any more. request_mac covers what was asked for, by whom
-- and about whom; what is over is read as expired, written down or not.
create table approvals (
  tenant_id        uuid not null,
  id               uuid not null,
  action           text not null,
  requester        text not null collate "C",
  user_id          text collate "C", -- whom it is about
  resource_id      text,
  details          text not null default '{}', -- JSON: ids, names of fields, values that are no personal data
  request          bytea,
  request_mac      bytea not null,
  mac_key_version  integer not null,
  status           text not null default 'pending' check (status in ('pending', 'completed', 'rejected')),
  created_at       timestamptz not null,
  expires_at       timestamptz not null,
  decided_at       timestamptz,
  decided_by       text,
  collect_until    timestamptz, -- where the requester has something to fetch
  collected_at     timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, requester) references users (tenant_id, user_id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create index approvals_of_requester on approvals (requester, tenant_id, id);
create index approvals_waiting on approvals (expires_at, tenant_id) where status = 'pending';
create index approvals_with_request on approvals (created_at, tenant_id) where request is not null;
call latchkey_internal.isolate('approvals');

-- Decides what still waits: of two who decide at once one gets the row, the other nothing.
create function decide_approval (wanted uuid, verdict text, decider text) returns setof approvals language plpgsql volatile as $$
#variable_conflict use_column
declare
  at constant timestamptz := tenant_now();
begin
  return query
    update approvals a set status = verdict, decided_at = at, decided_by = decider
     where a.tenant_id = current_tenant() and a.id = wanted and a.status = 'pending' and a.expires_at > at
    returning a.*;
end $$;

-- Fetches once, and in time, what an approval has left for its requester.
create function collect_approval (wanted uuid, collector text) returns setof approvals language plpgsql volatile as $$
#variable_conflict use_column
declare
  at constant timestamptz := tenant_now();
begin
  return query
    update approvals a set collected_at = at
     where a.tenant_id = current_tenant() and a.id = wanted and a.requester = collector and a.status = 'completed' and a.collected_at is null and a.collect_until > at
    returning a.*;
end $$;

-- Erases requests of which nothing can come any more; answers whether there may be more.
create function forget_approvals (rows_max integer) returns boolean language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  at constant timestamptz := tenant_now();
  erased integer;
begin
  update approvals a set request = null where a.tenant_id = tenant and a.id in (
    select x.id from approvals x
     where x.tenant_id = tenant and x.request is not null and x.created_at < at - interval '30 minutes'
       and case when x.status = 'pending' then x.expires_at <= at else coalesce(x.collect_until <= at, true) end
     order by x.created_at limit rows_max);
  get diagnostics erased = row_count;
  return erased = rows_max;
end $$;

-- When each role was last used by whom, to the hour. It stands beside the user, whose row is locked by every change.
create table role_uses (
  tenant_id     uuid not null,
  user_id       text not null collate "C",
  role          text not null,
  last_used_at  timestamptz not null,
  primary key (tenant_id, user_id, role),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create index role_uses_lately on role_uses (last_used_at, tenant_id);
call latchkey_internal.isolate('role_uses');

-- Writes down the use of roles, each at most once an hour.
create function note_roles (subject text, roles text[]) returns void language sql volatile as $$
  insert into role_uses (tenant_id, user_id, role, last_used_at)
  select current_tenant(), subject, used.role, tenant_now() from (select distinct unnest(roles) as role order by 1) used
  on conflict (tenant_id, user_id, role) do update set last_used_at = excluded.last_used_at
   where role_uses.last_used_at not between excluded.last_used_at - interval '1 hour' and excluded.last_used_at;
$$;

-- As admit_person (tenant, subject); and whether the use of these roles has to be written down.
create function admit_in_roles (tenant uuid, subject text, roles text[])
  returns table (status text, privileged boolean, sessions_valid_from timestamptz, mfa_epoch integer, strongest integer, server_now timestamptz,
                 roles_to_note boolean)
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  at timestamptz;
  to_note boolean := false;
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  if cardinality(roles) > 0 then -- most people have none
    at := tenant_now();
    to_note := exists (
      select from unnest(roles) as used (role) where not exists (
        select from role_uses r where r.tenant_id = tenant and r.user_id = subject and r.role = used.role and r.last_used_at between at - interval '1 hour' and at));
  end if;
  return query
    select u.status, u.privileged, u.sessions_valid_from, u.mfa_epoch, strongest_method(subject), statement_timestamp(), to_note
      from (select) as always left join users u on u.tenant_id = tenant and u.user_id = subject;
end $$;

-- When an administrator last did without the second approver.
create table break_glass_uses (
  tenant_id  uuid not null,
  user_id    text not null collate "C",
  used_at    timestamptz not null,
  primary key (tenant_id, user_id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
call latchkey_internal.isolate('break_glass_uses');

-- True once in 24 hours for each administrator, however many ask at once. A use of the future was made before a
-- sandbox's clock was moved back.
create function take_break_glass (administrator text) returns boolean language plpgsql volatile as $$
declare
  at constant timestamptz := tenant_now();
begin
  insert into break_glass_uses as b (tenant_id, user_id, used_at) values (current_tenant(), administrator, at)
  on conflict (tenant_id, user_id) do update set used_at = excluded.used_at
   where b.used_at not between excluded.used_at - interval '24 hours' and excluded.used_at;
  return found;
end $$;

grant select, insert, update on approvals, role_uses, break_glass_uses to latchkey_services;
grant select on approvals to latchkey_workers;
grant update (request) on approvals to latchkey_workers;
grant execute on function decide_approval (uuid, text, text), collect_approval (uuid, text), note_roles (text, text[]), admit_in_roles (uuid, text, text[]), take_break_glass (text)
  to latchkey_services;
grant execute on function forget_approvals (integer) to latchkey_workers;
