-- Whoever bound a method just before someone else was found at work could wait until it is a day old, and then recover by it.

-- From when a method that was bound then proves who someone is: after a day. Never, if that day was not over when the user
-- was found compromised, whom they have had to register again since.
create function recovers_from (bound timestamptz, since timestamptz, reason text) returns timestamptz language sql stable as $$
  select case when reason = 'compromised' and bound <= since and bound > since - interval '24 hours' then 'infinity' else bound + interval '24 hours' end
$$;

-- As in 0004, with the freeze, with what is settled, and with one look-up of each user after the other (`offset 0`), never a
-- table from end to end.
create or replace function read_sign_in (tenant uuid, wanted text[], known_policy integer)
  returns table (user_id text, facts text, id uuid, kind text, value bytea, line_type text, country text, default_channel text,
                 verified_since boolean, -- after the reset that requires to register again, if there was one
                 settled boolean)       -- bound to what it is for a day, and not just before someone else was found at work
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  around record;
  at timestamptz;
begin
  perform set_config('latchkey.tenant', tenant::text, true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true);
  select t.clock_offset_seconds as ahead, p.version, case when p.version <> known_policy then p.document end as document into around
    from tenants t join policies p on p.tenant_id = t.tenant_id where t.tenant_id = tenant;
  at := date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => around.ahead); -- tenant_now(), without reading the tenant twice
  facts := json_build_object('at', at, 'policyVersion', around.version, 'policy', around.document);
  return next;
  return query
    select u.user_id,
           case when u.status <> 'active' or u.privileged or f.locked_until > at or f.by_method <> '{}' or u.frozen_until > at
                     or num_nonnulls(u.sessions_valid_from, u.devices_valid_from, u.reregistration_since) > 0
                then json_build_object('status', u.status, 'privileged', u.privileged, 'sessionsValidFrom', u.sessions_valid_from, 'devicesValidFrom', u.devices_valid_from,
                       'since', u.reregistration_since, 'reason', u.reregistration_reason, 'lockedUntil', case when f.locked_until > at then f.locked_until end,
                       'frozenUntil', case when u.frozen_until > at then u.frozen_until end, 'wrongCodes', f.by_method)::text end,
           m.id, m.kind, m.value, m.line_type, m.country, case when m.is_default then coalesce(m.default_channel, '') end,
           m.verified_at > coalesce(u.reregistration_since, '-infinity'), recovers_from(coalesce(m.verified_at, m.created_at), u.reregistration_since, u.reregistration_reason) <= at
      from unnest(wanted) as w (user_id)
     cross join lateral (select * from users x where x.tenant_id = tenant and x.user_id = w.user_id offset 0) as u
      left join lateral (select * from code_failures x where x.tenant_id = tenant and x.user_id = w.user_id offset 0) as f on true
      left join lateral (select * from contact_methods x where x.tenant_id = tenant and x.user_id = w.user_id and x.status = 'active' offset 0) as m on true;
end $$;

-- As in 0003, but for a method that recovers nothing.
create or replace function proof_standing (tenant uuid, challenge uuid)
  returns table (user_id text, purpose text, channel text, starter_kind text, starter_id text, mfa_epoch integer, approved_at timestamptz,
                 bound_at timestamptz, -- when the method got the value it has; null if it is gone, or can never recover
                 current_epoch integer, strongest integer)
  language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select c.user_id, c.purpose, c.channel, c.starter_kind, c.starter_id, c.mfa_epoch, c.ended_at,
           case when recovers_from(coalesce(m.verified_at, m.created_at), u.reregistration_since, u.reregistration_reason) < 'infinity' then coalesce(m.verified_at, m.created_at) end,
           u.mfa_epoch, strongest_method(c.user_id)
      from challenges c
      join users u on u.tenant_id = tenant and u.user_id = c.user_id
      left join contact_methods m on m.tenant_id = tenant and m.id = c.method_id and m.user_id = c.user_id and m.status = 'active'
     where c.tenant_id = tenant and c.id = challenge and c.status = 'approved';
end $$;

grant execute on function recovers_from (timestamptz, timestamptz, text) to latchkey_services;
