-- What a proof stands on: its challenge, as it is in the database, and the user, as they are now.

-- Strength of a user's strongest active method, as authority counts it; 0 for none.
create function strongest_method (subject text) returns integer language sql stable as $$
  select coalesce(max(case when m.kind = 'alternateEmail' then 1 else 2 end), 0) from contact_methods m
   where m.tenant_id = current_tenant() and m.user_id = subject and m.status = 'active'
$$;

-- The approved challenge that a proof names; nothing if there is none. A signature alone is not believed.
create function proof_standing (tenant uuid, challenge uuid)
  returns table (user_id text, purpose text, channel text, starter_kind text, starter_id text, mfa_epoch integer, approved_at timestamptz,
                 bound_at timestamptz, -- when the method got the value it has; null if it is gone
                 current_epoch integer, strongest integer)
  language plpgsql volatile as $$
begin
  perform set_config('latchkey.tenant', tenant::text, true);
  return query
    select c.user_id, c.purpose, c.channel, c.starter_kind, c.starter_id, c.mfa_epoch, c.ended_at,
           coalesce(m.verified_at, m.created_at), u.mfa_epoch, strongest_method(c.user_id)
      from challenges c
      join users u on u.tenant_id = tenant and u.user_id = c.user_id
      left join contact_methods m on m.tenant_id = tenant and m.id = c.method_id and m.user_id = c.user_id and m.status = 'active'
     where c.tenant_id = tenant and c.id = challenge and c.status = 'approved';
end $$;

grant execute on function strongest_method (text), proof_standing (uuid, uuid) to latchkey_services;
