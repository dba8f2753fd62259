-- Notices, the links in them, and what a link can do: bring a value back, or freeze a user.

alter table users
  add column frozen_until timestamptz,              -- nothing that the user proves themself with is changed until then
  add column lock_told_at timestamptz,              -- when they were last told of a lock
  add column sign_in_email_replaced_at timestamptz; -- when the sign-in e-mail took the place of another one
alter table contact_methods
  add column replaced_at timestamptz;               -- when the value took the place of another one

-- The link of one notice to one address. The token in it is signed, and neither it nor a hash of it is kept: what is
-- signed is the row's own key.
create table notice_links (
  tenant_id    uuid not null,
  id           uuid not null,
  user_id      text not null collate "C",
  kind         text not null, -- of the notice
  mfa_epoch    integer not null,
  method_id    uuid,          -- the method that was changed; null where the sign-in e-mail was, and where nothing can be reverted
  reverts      boolean not null default false, -- the value below comes back
  value              bytea, -- sealed
  value_index        bytea,
  destination_index  bytea,
  extension          bytea, -- sealed
  country            text,
  line_type          text,
  verified_at        timestamptz,
  pre_verified       boolean not null default false,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  used_at      timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create index notice_links_by_age on notice_links (created_at, tenant_id);
call latchkey_internal.isolate('notice_links');

-- How many notices went out on one day (UTC), in sixteen parts, so that changes do not queue behind one row. `told` in
-- part 0: the security contact has heard that the budget is used up.
create table notice_budgets (
  tenant_id  uuid not null references tenants (tenant_id),
  day        date not null,
  slot       smallint not null check (slot between 0 and 15),
  sent       integer not null default 0,
  told       boolean not null default false,
  primary key (tenant_id, day, slot)
);
call latchkey_internal.isolate('notice_budgets');

-- Takes so many of today's budget of notices, all or none. A change locks one part only, always the same, and takes no
-- other lock after that: those that end at the same moment may together pass the budget by what each of them sends.
create function take_notices (wanted integer, whole integer) returns boolean language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  today constant date := (tenant_now() at time zone 'UTC')::date;
  before integer;
begin
  before := (select coalesce(sum(b.sent), 0) from notice_budgets b where b.tenant_id = tenant and b.day = today);
  if before + wanted > whole then return false; end if;
  insert into notice_budgets as b (tenant_id, day, slot, sent) values (tenant, today, pg_current_xact_id()::text::bigint % 16, wanted)
  on conflict (tenant_id, day, slot) do update set sent = b.sent + wanted;
  return true;
end $$;

-- True for the first of the day that hears that today's budget of notices is used up.
create function note_notices_used_up () returns boolean language plpgsql volatile as $$
begin
  insert into notice_budgets as b (tenant_id, day, slot, told) values (current_tenant(), (tenant_now() at time zone 'UTC')::date, 0, true)
  on conflict (tenant_id, day, slot) do update set told = true where not b.told;
  return found;
end $$;

-- Uses a link: exactly one of several that do so at once gets its row. One that is over, used or of another epoch gives none.
create function use_notice_link (wanted uuid) returns setof notice_links language sql volatile as $$
  update notice_links l set used_at = tenant_now()
   where l.tenant_id = current_tenant() and l.id = wanted and l.used_at is null and l.expires_at > tenant_now()
     and l.mfa_epoch = (select u.mfa_epoch from users u where u.tenant_id = l.tenant_id and u.user_id = l.user_id and u.status <> 'offboarded')
  returning l.*
$$;

-- Forgets notices and their links 30 days after they were made, and counts of past days. At most so many rows of each at a
-- time; answers whether there may be more.
create function forget_notices (rows_max integer) returns boolean language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  month_ago constant timestamptz := tenant_now() - interval '30 days';
  forgotten integer;
  links integer;
begin
  delete from messages m where m.tenant_id = tenant and m.id in (
    select x.id from messages x where x.tenant_id = tenant and x.kind = 'notice' and x.created_at < month_ago and x.state not in ('queued', 'sending') limit rows_max);
  get diagnostics forgotten = row_count;
  delete from notice_links l where l.tenant_id = tenant and l.id in (select x.id from notice_links x where x.tenant_id = tenant and x.created_at < month_ago limit rows_max);
  get diagnostics links = row_count;
  delete from notice_budgets b where b.tenant_id = tenant and b.day < (tenant_now() at time zone 'UTC')::date - 2;
  return forgotten = rows_max or links = rows_max;
end $$;
create index messages_of_notices on messages (created_at, tenant_id) where kind = 'notice';

grant execute on function take_notices (integer, integer), note_notices_used_up (), use_notice_link (uuid) to latchkey_services;
grant execute on function forget_notices (integer) to latchkey_workers;
grant select, insert, update on notice_links, notice_budgets to latchkey_services;
grant select, delete on notice_links, notice_budgets to latchkey_workers;
