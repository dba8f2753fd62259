-- What many do at once must not meet in one row.
--
-- A foreign key locks the row it points to, until the transaction ends: every start locked its tenant's row eight times,
-- side by side with all others. Nobody deletes a tenant, no role of the service can make a row of one that it has not
-- entered (row-level security checks it), and a count of a tenant that is not there would harm nobody.
alter table send_windows drop constraint send_windows_tenant_id_fkey;
alter table destination_sends drop constraint destination_sends_tenant_id_fkey;
alter table prefix_sends drop constraint prefix_sends_tenant_id_fkey;
alter table send_budgets drop constraint send_budgets_tenant_id_fkey;
alter table notice_budgets drop constraint notice_budgets_tenant_id_fkey;
alter table sandbox_messages drop constraint sandbox_messages_tenant_id_fkey;
alter table audit_seals drop constraint audit_seals_tenant_id_fkey;
alter table idempotency_keys drop constraint idempotency_keys_tenant_id_fkey;

-- As before. A part that nobody holds is taken without waiting; only where there is none it is waited for, in the way that
-- gives a lock back.
create or replace function take_budget (whole integer, proven boolean, at timestamptz default tenant_now()) returns integer language plpgsql volatile as $$
declare
  tenant constant uuid := current_tenant();
  today constant date := (at at time zone 'UTC')::date;
  open_to_all constant integer := (whole::bigint * 7 / 10)::integer;
  first constant integer := floor(random() * 16);
  chosen integer;
  room integer; -- how much of the whole may be used up with this one
  parts integer;
  used_up boolean;
begin
  update send_budgets b set sent = b.sent + 1
   where b.tenant_id = tenant and b.day = today
     and b.slot = (select f.slot from send_budgets f
                    where f.tenant_id = tenant and f.day = today and f.whole = take_budget.whole and f.sent < share_of(open_to_all, f.slot)
                    order by (f.slot - first + 16) % 16 limit 1 for no key update skip locked)
  returning b.slot into chosen;
  if found then return chosen; end if;
  loop
    room := open_to_all;
    select b.slot into chosen from send_budgets b
     where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole and b.sent < share_of(room, b.slot) order by (b.slot - first + 16) % 16 limit 1;
    if not found and proven then
      room := whole;
      select b.slot into chosen from send_budgets b
       where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole and b.sent < share_of(room, b.slot) order by (b.slot - first + 16) % 16 limit 1;
    end if;
    if chosen is null then
      -- Looked at once more, in one statement: another may have made the parts since.
      select count(*), bool_and(b.sent >= share_of(room, b.slot)) into parts, used_up from send_budgets b where b.tenant_id = tenant and b.day = today and b.whole = take_budget.whole;
      if parts = 16 and used_up then return null; end if;
      if parts < 16 then perform spread_budget(today, whole); end if;
    else
      begin
        update send_budgets b set sent = b.sent + 1
         where b.tenant_id = tenant and b.day = today and b.slot = chosen and b.whole = take_budget.whole and b.sent < share_of(room, chosen);
        if found then return chosen; end if;
        raise exception 'another took the last of it' using errcode = 'LK001';
      exception when sqlstate 'LK001' then null; -- which gives the lock on that part back: nobody waits for one while holding another
      end;
    end if;
  end loop;
end $$;

-- As before, in one statement where the window is new and in one where it is not.
create or replace function window_room (wanted text, taken_max integer, window_length interval, at timestamptz default tenant_now()) returns timestamptz language plpgsql volatile as $$
declare
  recent timestamptz[];
begin
  loop
    select w.taken_at into recent from send_windows w where w.tenant_id = current_tenant() and w.bucket = wanted for no key update;
    exit when found;
    insert into send_windows (tenant_id, bucket) values (current_tenant(), wanted) on conflict do nothing;
    if found then return null; end if; -- made just now, and locked by that
  end loop;
  -- One of the future was taken before a sandbox's clock was moved back.
  select coalesce(array_agg(s order by s), '{}') into recent from unnest(recent) as s where s > at - window_length and s <= at + interval '5 seconds';
  if cardinality(recent) < taken_max then return null; end if;
  return recent[cardinality(recent) - taken_max + 1] + window_length;
end $$;
