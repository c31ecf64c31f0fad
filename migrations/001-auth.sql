-- Members and how they prove who they are. Times are milliseconds since 1970, ids come from guid.
-- Written so that a run that broke off half-way can be repeated.

CREATE TABLE IF NOT EXISTS members (
  id BIGINT NOT NULL PRIMARY KEY,
  email VARCHAR(254) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  roles VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'member,broker,admin',
  status VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'active, blocked, closed',
  created_at_ms BIGINT NOT NULL,
  UNIQUE KEY members_email (email)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS credentials (
  member_id BIGINT NOT NULL PRIMARY KEY,
  password_hash VARBINARY(64) NOT NULL,
  salt VARBINARY(32) NOT NULL,
  cost_log2 TINYINT NOT NULL COMMENT 'scrypt N',
  block_size TINYINT NOT NULL COMMENT 'scrypt r',
  parallelism TINYINT NOT NULL COMMENT 'scrypt p',
  changed_at_ms BIGINT NOT NULL
) ENGINE = InnoDB;

-- One login, with all its access and refresh tokens.
CREATE TABLE IF NOT EXISTS sessions (
  id BIGINT NOT NULL PRIMARY KEY,
  member_id BIGINT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  refreshed_at_ms BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  ended_at_ms BIGINT NULL,
  KEY sessions_member (member_id, id),
  KEY sessions_expiry (expires_at_ms)
) ENGINE = InnoDB;

-- Used ones stay until the session expires: one that comes again was stolen.
CREATE TABLE IF NOT EXISTS refresh_tokens (
  token_hash BINARY(32) NOT NULL PRIMARY KEY,
  session_id BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  used_at_ms BIGINT NULL,
  KEY refresh_tokens_expiry (expires_at_ms)
) ENGINE = InnoDB;

-- Long-lived tokens for programs; the token itself is not kept.
CREATE TABLE IF NOT EXISTS program_tokens (
  id BIGINT NOT NULL PRIMARY KEY,
  member_id BIGINT NOT NULL,
  name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  scopes VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'read,trade',
  for_members TEXT CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'ids with commas: whom a broker acts for',
  created_by BIGINT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  revoked_at_ms BIGINT NULL,
  KEY program_tokens_member (member_id, id),
  KEY program_tokens_expiry (expires_at_ms)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS signing_keys (
  id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  private_pem TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  public_x VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  public_y VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at_ms BIGINT NOT NULL,
  used_from_ms BIGINT NOT NULL,
  tokens_until_ms BIGINT NOT NULL COMMENT 'when its last long-lived token expires'
) ENGINE = InnoDB;

-- Who may not come in, as an admin wrote it: by member or by e-mail.
CREATE TABLE IF NOT EXISTS deny_list (
  id BIGINT NOT NULL PRIMARY KEY,
  member_id BIGINT NULL,
  email VARCHAR(254) CHARACTER SET ascii COLLATE ascii_bin NULL,
  reason VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_by BIGINT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  UNIQUE KEY deny_list_member (member_id),
  UNIQUE KEY deny_list_email (email)
) ENGINE = InnoDB;

-- What the bucket `denied` has to hold. A lifted denial keeps its row (code NULL) until it is published and over.
CREATE TABLE IF NOT EXISTS denials (
  denied_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
  until_ms BIGINT NOT NULL,
  changed_at_ms BIGINT NOT NULL,
  published TINYINT NOT NULL,
  KEY denials_pending (published, changed_at_ms),
  KEY denials_until (until_ms)
) ENGINE = InnoDB;

-- Commands for the members' account slots, appended after the transaction that wrote them, per member in order of position
-- (whoever writes one for a member who exists has locked his row).
CREATE TABLE IF NOT EXISTS auth_outbox (
  position BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  command_id BIGINT NOT NULL,
  member_id BIGINT NOT NULL,
  command TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'JSON',
  created_at_ms BIGINT NOT NULL,
  UNIQUE KEY auth_outbox_command (command_id),
  KEY auth_outbox_member (member_id, position),
  KEY auth_outbox_created (created_at_ms)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS login_attempts (
  bucket BINARY(32) NOT NULL PRIMARY KEY,
  attempts INT NOT NULL,
  window_until_ms BIGINT NOT NULL,
  KEY login_attempts_window (window_until_ms)
) ENGINE = InnoDB;
