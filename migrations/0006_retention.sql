-- What is kept no longer than it serves. The workers do it tenant by tenant, by the tenant's own clock.

create index challenges_by_age on challenges (tenant_id, created_at);

-- Forgets what is over: challenges and their messages 30 days after they ended, counts that hold nobody back any more,
-- the values of methods that were removed 30 days ago (their record stays). At most so many rows of each at a time;
-- answers whether there may be more.
create function forget_what_is_over (rows_max integer) returns boolean language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  now_there constant timestamptz := tenant_now();
  month constant interval := interval '30 days';
  old uuid[];
  erased integer;
begin
  -- A challenge ends 15 minutes after it began at the latest, one to verify a value as well.
  old := array(select c.id from challenges c where c.tenant_id = tenant and c.created_at < now_there - month - interval '15 minutes'
                  and (c.proof_issued_at is null or c.proof_issued_at < now() - interval '1 hour') -- a proof ends by the server's own clock
                order by c.created_at limit rows_max);
  delete from messages m where m.tenant_id = tenant and m.challenge_id = any (old);
  delete from challenges c where c.tenant_id = tenant and c.id = any (old);
  update contact_methods m
     set value = null, value_index = null, destination_index = null, extension = null,
         pending_value = null, pending_value_index = null, pending_destination_index = null, pending_extension = null
   where m.tenant_id = tenant and m.id in (
     select x.id from contact_methods x where x.tenant_id = tenant and x.status = 'removed' and x.value is not null and x.removed_at < now_there - month limit rows_max);
  get diagnostics erased = row_count;
  delete from send_windows w where w.tenant_id = tenant and w.touched_at < now() - interval '2 days'
     and not exists (select from unnest(w.taken_at) as at where at > now_there - interval '1 day');
  delete from prefix_sends p where p.tenant_id = tenant and p.touched_at < now() - month;
  delete from send_budgets b where b.tenant_id = tenant and b.day < (now_there at time zone 'UTC')::date - 2;
  delete from prefix_blocks b where b.tenant_id = tenant and b.blocked_until < now_there - month;
  return cardinality(old) = rows_max or erased = rows_max;
end $$;

grant execute on function forget_what_is_over (integer) to latchkey_workers;
grant select, delete on challenges, messages, send_windows, prefix_sends, prefix_blocks, send_budgets to latchkey_workers;
grant select on contact_methods to latchkey_workers;
grant update (value, value_index, destination_index, extension, pending_value, pending_value_index, pending_destination_index, pending_extension) on contact_methods to latchkey_workers;
