-- Resets: what an administrator took away, why, and who was told.
create table mfa_resets (
  tenant_id       uuid not null,
  id              uuid not null,
  user_id         text not null collate "C",
  status          text not null check (status in ('pendingApproval', 'completed', 'rejected')),
  scope           text not null check (scope in ('all', 'kinds', 'methods')),
  request         bytea not null, -- sealed JSON: what was asked for, with note and ticket
  outcome         bytea,          -- sealed JSON: what was removed and kept, and who was told, masked
  reason          text not null,
  requested_kind  text not null check (requested_kind in ('person', 'app')),
  requested_by    text not null,
  approval_id     uuid,
  mfa_epoch       integer,        -- the one that began with it
  created_at      timestamptz not null,
  expires_at      timestamptz,    -- of one that waits for a second approver
  completed_at    timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create index mfa_resets_of_user on mfa_resets (user_id, tenant_id, created_at desc, id desc);
call latchkey_internal.isolate('mfa_resets');

grant select, insert on mfa_resets to latchkey_services;
grant update (status, outcome, mfa_epoch, completed_at) on mfa_resets to latchkey_services;

-- As in 0002, with the freeze, and with since when the user must register again: then a method of before can be verified anew.
drop function read_challenge_setting (uuid, text, uuid);
create function read_challenge_setting (tenant uuid, wanted_user text, wanted_method uuid default null)
  returns table (at timestamptz, server_now timestamptz, tenant_created_at timestamptz, policy_version integer, policy jsonb, organization text, default_country text,
                 status text, privileged boolean, mfa_epoch integer, first_registered_at timestamptz, locked_until timestamptz, by_method jsonb, methods jsonb, former jsonb,
                 frozen_until timestamptz, reregistration_since timestamptz)
  language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select tenant_now(), statement_timestamp(), t.created_at, p.version, p.document, o.name, o.default_country, u.status, u.privileged, u.mfa_epoch, u.first_registered_at, f.locked_until, f.by_method,
           (select jsonb_agg(m order by m.created_at, m.id) from contact_methods m where m.tenant_id = tenant and m.user_id = wanted_user and m.status <> 'removed'),
           (select to_jsonb(m) from contact_methods m where m.tenant_id = tenant and m.id = wanted_method and m.user_id = wanted_user and m.status = 'removed'),
           case when u.frozen_until > tenant_now() then u.frozen_until end, u.reregistration_since
      from policies p
      join tenants t on t.tenant_id = p.tenant_id
      join organizations o on o.tenant_id = p.tenant_id
      left join users u on u.tenant_id = tenant and u.user_id = wanted_user
      left join code_failures f on f.tenant_id = tenant and f.user_id = wanted_user
     where p.tenant_id = tenant;
end $$;

grant execute on function read_challenge_setting (uuid, text, uuid) to latchkey_services;
