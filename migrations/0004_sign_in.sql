-- What the sign-in page must ask for. The columns of a reset are read here; resets write them.

alter table users
  add column reregistration_since timestamptz, -- only methods that the person verified after it count
  add column reregistration_reason text;

-- What the sign-in of each of several users depends on, in one round trip: the first row is of the tenant (its user is
-- null), then come one row of each user with each of their active methods. Users who are not there have no row.
-- Few columns: each costs on both ends. `facts` is null of an active user about whom there is nothing to say. Read for
-- several at once, a user costs a third; the plan for any number of them is made once, which Postgres has to be told.
create function read_sign_in (tenant uuid, wanted text[], known_policy integer)
  returns table (user_id text, facts text, id uuid, kind text, value bytea, line_type text, country text, default_channel text,
                 verified_since boolean, -- after the reset that requires to register again, if there was one
                 settled boolean)       -- bound to what it is for a day
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  around record;
  at timestamptz;
begin
  perform set_config('latchkey.tenant', tenant::text, true), set_config('plan_cache_mode', 'force_generic_plan', true);
  select t.clock_offset_seconds as ahead, p.version, case when p.version <> known_policy then p.document end as document into around
    from tenants t join policies p on p.tenant_id = t.tenant_id where t.tenant_id = tenant;
  at := date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => around.ahead); -- tenant_now(), without reading the tenant twice
  facts := json_build_object('at', at, 'policyVersion', around.version, 'policy', around.document);
  return next;
  return query
    select u.user_id,
           case when u.status <> 'active' or u.privileged or f.locked_until > at or f.by_method <> '{}'
                     or num_nonnulls(u.sessions_valid_from, u.devices_valid_from, u.reregistration_since) > 0
                then json_build_object('status', u.status, 'privileged', u.privileged, 'sessionsValidFrom', u.sessions_valid_from, 'devicesValidFrom', u.devices_valid_from,
                       'since', u.reregistration_since, 'reason', u.reregistration_reason, 'lockedUntil', case when f.locked_until > at then f.locked_until end, 'wrongCodes', f.by_method)::text end,
           m.id, m.kind, m.value, m.line_type, m.country, case when m.is_default then coalesce(m.default_channel, '') end,
           m.verified_at > coalesce(u.reregistration_since, '-infinity'), coalesce(m.verified_at, m.created_at) <= at - interval '24 hours'
      from unnest(wanted) as w (user_id)
      join users u on u.tenant_id = tenant and u.user_id = w.user_id
      left join code_failures f on f.tenant_id = tenant and f.user_id = w.user_id
      left join contact_methods m on m.tenant_id = tenant and m.user_id = w.user_id and m.status = 'active';
end $$;

-- The methods of each of several users, oldest first, in the same way. It takes the place of read_contact_methods, which
-- stays for replicas of the version before this one.
create function read_methods_of (tenant uuid, wanted text[])
  returns table (user_id text, facts text, id uuid, kind text, label text, status text, value bytea, extension bytea, country text, line_type text,
                 is_default boolean, default_channel text, pending_value bytea, pending_extension bytea, pending_expires_at timestamptz, added_by text,
                 created_at timestamptz, verified_at timestamptz, last_used_at timestamptz, updated_at timestamptz, version integer)
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  around record;
  at timestamptz;
begin
  perform set_config('latchkey.tenant', tenant::text, true), set_config('plan_cache_mode', 'force_generic_plan', true);
  select t.clock_offset_seconds as ahead, coalesce((p.document ->> 'emailCounts')::boolean, false) as email_counts into around
    from tenants t join policies p on p.tenant_id = t.tenant_id where t.tenant_id = tenant;
  at := date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => around.ahead);
  facts := json_build_object('at', at, 'serverNow', statement_timestamp(), 'emailCounts', around.email_counts);
  return next;
  return query
    select u.user_id,
           case when u.status <> 'active' or u.privileged or u.sessions_valid_from is not null
                then json_build_object('status', u.status, 'privileged', u.privileged, 'sessionsValidFrom', u.sessions_valid_from)::text end,
           m.id, m.kind, m.label, m.status, m.value, m.extension, m.country, m.line_type, m.is_default, m.default_channel, m.pending_value,
           m.pending_extension, m.pending_expires_at, m.added_by, m.created_at, m.verified_at, m.last_used_at, m.updated_at, m.version
      from unnest(wanted) as w (user_id)
      join users u on u.tenant_id = tenant and u.user_id = w.user_id
      left join contact_methods m on m.tenant_id = tenant and m.user_id = w.user_id and m.status <> 'removed'
           and not (m.status = 'pending' and m.pending_expires_at <= at)
     order by m.created_at, m.id;
end $$;

grant execute on function read_sign_in (uuid, text[], integer), read_methods_of (uuid, text[]) to latchkey_services;
