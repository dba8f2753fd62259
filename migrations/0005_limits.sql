-- Takes one of a caller's window, or says in how many seconds there is room again. A refused one does not count. The
-- row stays locked until the transaction ends, so that callers take turns and replicas together stay within.
create function take_window (wanted text, taken_max integer, window_length interval) returns integer language plpgsql volatile as $$
declare
  room_at constant timestamptz := window_room(wanted, taken_max, window_length);
begin
  if room_at is null then
    perform window_take(wanted, gen_random_uuid(), window_length);
    return null;
  end if;
  -- Its turn came later than the statement, whose time the window was judged by.
  return greatest(1, ceil(extract(epoch from room_at - tenant_now() - (clock_timestamp() - statement_timestamp()))));
end $$;

grant execute on function take_window (text, integer, interval) to latchkey_services;
