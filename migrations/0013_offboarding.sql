-- People who left: nothing of theirs works any more, their data is erased later, and a certificate says what was erased.
alter table users add column erased_at timestamptz; -- what is left of the row is the id

create table offboardings (
  tenant_id      uuid not null,
  id             uuid not null,
  user_id        text not null collate "C",
  status         text not null check (status in ('offboarded', 'erased', 'undone')),
  reason         bytea,           -- sealed: free text
  requested_by   text not null,
  offboarded_at  timestamptz not null,
  erase_after    timestamptz not null,
  undone_at      timestamptz,
  erased_at      timestamptz,
  certified_at   timestamptz,     -- the server's own clock: a certificate does not move with a sandbox
  counts         jsonb,           -- how many rows of each table were erased
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create unique index offboardings_in_force on offboardings (user_id, tenant_id) where status = 'offboarded';
create index offboardings_of_user on offboardings (user_id, tenant_id, offboarded_at desc);
create index offboardings_due on offboardings (erase_after, tenant_id) where status = 'offboarded';
call latchkey_internal.isolate('offboardings');

alter table mfa_resets alter column request drop not null; -- null once erased
alter table sandbox_messages add column user_id text collate "C";
create index sandbox_messages_of_user on sandbox_messages (user_id, tenant_id);

-- Erases what is held about one user whose time has come, and counts it. What stays are ids and times: the record of
-- every method that was bound (NIST SP 800-63B-4, 4.1) and the audit log, which holds no personal data. Gives nothing where
-- no user is due. One user at a time, so that no lock is held for long.
create function erase_one_user () returns text language plpgsql volatile set enable_seqscan = off as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  o offboardings;
  destinations bytea[];
  theirs uuid[];
  n integer;
  erased jsonb := '{}';
begin
  select * into o from offboardings x where x.tenant_id = tenant and x.status = 'offboarded' and x.erase_after <= now_there order by x.erase_after limit 1;
  if not found then return null; end if;
  perform from users u where u.tenant_id = tenant and u.user_id = o.user_id for no key update; -- as everyone who changes a user does first
  select * into o from offboardings x where x.tenant_id = tenant and x.id = o.id and x.status = 'offboarded' for no key update;
  if not found then return o.user_id; end if; -- it was undone meanwhile

  destinations := array(select d from (
    select m.destination_index as d from contact_methods m where m.tenant_id = tenant and m.user_id = o.user_id
    union select m.pending_destination_index from contact_methods m where m.tenant_id = tenant and m.user_id = o.user_id) as all_of_them where d is not null);
  theirs := array(select c.id from challenges c where c.tenant_id = tenant and c.user_id = o.user_id);

  delete from code_failures f where f.tenant_id = tenant and f.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('codeFailures', n);
  delete from sandbox_messages s where s.tenant_id = tenant and s.challenge_id = any (theirs);
  get diagnostics n = row_count;
  delete from sandbox_messages s where s.tenant_id = tenant and s.user_id = o.user_id;
  delete from messages m where m.tenant_id = tenant and m.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('messages', n);
  delete from challenges c where c.tenant_id = tenant and c.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('challenges', n);
  delete from send_windows w where w.tenant_id = tenant and w.bucket = 'user:' || o.user_id;
  -- A number that someone else has, too, keeps its count.
  delete from destination_sends d where d.tenant_id = tenant and d.destination_index = any (destinations)
     and not exists (select from contact_methods m where m.tenant_id = tenant and m.destination_index = d.destination_index and m.user_id <> o.user_id and m.status <> 'removed');
  get diagnostics n = row_count; erased := erased || jsonb_build_object('destinationSends', n);
  delete from passes p where p.tenant_id = tenant and p.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('passes', n);
  update contact_methods m
     set value = null, value_index = null, destination_index = null, extension = null, label = null, status = 'removed', removed_at = coalesce(m.removed_at, now_there),
         pending_value = null, pending_value_index = null, pending_destination_index = null, pending_extension = null
   where m.tenant_id = tenant and m.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('contactMethods', n);
  update mfa_resets r set request = null, outcome = null where r.tenant_id = tenant and r.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('mfaResets', n);
  delete from notice_links l where l.tenant_id = tenant and l.user_id = o.user_id;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('noticeLinks', n);
  update approvals a set request = null where a.tenant_id = tenant and (a.user_id = o.user_id or a.requester = o.user_id) and a.request is not null;
  get diagnostics n = row_count; erased := erased || jsonb_build_object('approvals', n);
  delete from role_uses r where r.tenant_id = tenant and r.user_id = o.user_id;
  delete from break_glass_uses b where b.tenant_id = tenant and b.user_id = o.user_id;
  delete from idempotency_keys k where k.tenant_id = tenant and k.caller = 'person:' || o.user_id;
  update users u
     set display_name = null, sign_in_email = null, sign_in_email_index = null, locale = null, first_registered_at = null,
         reregistration_since = null, reregistration_reason = null, erased_at = now_there, version = u.version + 1, updated_at = now_there
   where u.tenant_id = tenant and u.user_id = o.user_id;
  erased := erased || jsonb_build_object('users', 1);
  update offboardings x set status = 'erased', erased_at = now_there, certified_at = date_trunc('seconds', now()), counts = erased, reason = null where x.tenant_id = tenant and x.id = o.id;
  update offboardings x set reason = null where x.tenant_id = tenant and x.user_id = o.user_id;
  return o.user_id;
end $$;

grant select, insert on offboardings to latchkey_services;
grant update (status, undone_at, reason) on offboardings to latchkey_services;
grant execute on function erase_one_user () to latchkey_workers;
grant select, update on offboardings, users, contact_methods, mfa_resets, approvals to latchkey_workers;
grant select, delete on code_failures, sandbox_messages, messages, challenges, send_windows, destination_sends, passes, idempotency_keys, notice_links, role_uses, break_glass_uses to latchkey_workers;
