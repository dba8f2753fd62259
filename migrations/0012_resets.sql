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
