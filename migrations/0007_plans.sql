-- Look-ups by key stay look-ups by key, whatever a plan was made on.
--
-- A connection keeps its plans. On a table that is still empty all indexes that begin with the tenant cost the same, and
-- the newest of them is taken: a look-up by id then reads all rows of the tenant until the next `analyze`. So every index
-- beside a primary key begins with what finds the row.

drop index users_by_sign_in_email;
create index users_by_sign_in_email on users (sign_in_email_index, tenant_id);
drop index users_by_name;
create index users_by_name on users (lower(display_name) text_pattern_ops, tenant_id);

drop index contact_methods_one_per_place, contact_methods_one_per_value, contact_methods_one_default, contact_methods_of_user, contact_methods_by_value;
create unique index contact_methods_one_per_place on contact_methods (user_id, tenant_id, kind, place) where status in ('pending', 'active');
create unique index contact_methods_one_per_value on contact_methods (user_id, tenant_id, destination_index) where status in ('pending', 'active');
create unique index contact_methods_one_default on contact_methods (user_id, tenant_id) where is_default;
create index contact_methods_of_user on contact_methods (user_id, tenant_id, created_at, id) where status <> 'removed';
create index contact_methods_by_value on contact_methods (value_index, tenant_id) where status <> 'removed';

drop index challenges_pending, challenges_of_method, challenges_by_age;
create index challenges_pending on challenges (user_id, tenant_id, purpose, method_id) where status = 'pending';
create index challenges_of_method on challenges (method_id, tenant_id);
create index challenges_by_age on challenges (created_at, tenant_id);

drop index messages_of_challenge;
create index messages_of_challenge on messages (challenge_id, tenant_id, created_at desc);

drop index sandbox_messages_to, sandbox_messages_of_challenge;
create index sandbox_messages_to on sandbox_messages (recipient_index, tenant_id, arrived desc);
create index sandbox_messages_of_challenge on sandbox_messages (challenge_id, tenant_id, arrived desc);

-- An index serves a comparison of its own collation only. Ids of users compare by bytes, and so does what is made of them:
-- a bucket that is compared to one was looked for among all of its tenant.
alter table send_windows alter column bucket type text collate "C";
alter table prefix_blocks alter column prefix type text collate "C";
alter table idempotency_keys alter column caller type text collate "C";

-- A hot read: one look-up of each user after the other (`offset 0`), never a table from end to end.
create or replace function read_methods_of (tenant uuid, wanted text[])
  returns table (user_id text, facts text, id uuid, kind text, label text, status text, value bytea, extension bytea, country text, line_type text,
                 is_default boolean, default_channel text, pending_value bytea, pending_extension bytea, pending_expires_at timestamptz, added_by text,
                 created_at timestamptz, verified_at timestamptz, last_used_at timestamptz, updated_at timestamptz, version integer)
  language plpgsql volatile as $$
#variable_conflict use_column
declare
  around record;
  at timestamptz;
begin
  perform set_config('latchkey.tenant', tenant::text, true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true);
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
     cross join lateral (select * from users x where x.tenant_id = tenant and x.user_id = w.user_id offset 0) as u
      left join lateral (
        select * from contact_methods x
         where x.tenant_id = tenant and x.user_id = w.user_id and x.status <> 'removed' and not (x.status = 'pending' and x.pending_expires_at <= at) offset 0) as m on true
     order by m.created_at, m.id;
end $$;

-- How far a sandbox tenant's clock is ahead.
create function clock_offset () returns double precision language sql stable as $$
  select coalesce((select clock_offset_seconds from tenants where tenant_id = current_tenant()), 0)::double precision $$;

-- As before; but who entered the tenant knows how far its clock is ahead, and the expression is simple enough to be taken
-- into the statement that has it, which asks for the time some twenty times.
create or replace function tenant_now () returns timestamptz language sql stable
  as $$ select date_trunc('milliseconds', statement_timestamp())
          + make_interval(secs => coalesce(nullif(current_setting('latchkey.clock_offset', true), '')::double precision, clock_offset())) $$;

create or replace function enter_tenant (tenant uuid) returns timestamptz language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant', tenant::text, true), set_config('latchkey.clock_offset', '', true);
  perform set_config('latchkey.clock_offset', clock_offset()::text, true);
  return tenant_now();
end $$;

grant execute on function clock_offset () to latchkey_services, latchkey_workers;
