-- What the projections write, and nobody else. Everything here can be dropped and comes again from the log.
-- Times are microseconds since 1970, ids are below 2^53, money is in minor units of its asset.
-- `sequence`, `item` and `event` are a position in the member's account slot.

-- How far each projection has come in each slot, written in the transaction that writes its rows.
CREATE TABLE IF NOT EXISTS positions (
  projection VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  slot SMALLINT UNSIGNED NOT NULL,
  -- The last frame that is written: its sequence in the stream EVENTS, the hash in its header, the slot's time.
  frame_sequence BIGINT NOT NULL,
  frame_hash BIGINT NOT NULL,
  frame_time_us BIGINT NOT NULL,
  -- The last item of the slot's log that is written, and whether it is the last of its message.
  in_sequence BIGINT NOT NULL,
  in_item INT NOT NULL,
  in_complete BOOLEAN NOT NULL,
  PRIMARY KEY (projection, slot)
) ENGINE = InnoDB;

-- Who writes which slot, until when. For liveness only: the positions decide.
CREATE TABLE IF NOT EXISTS projection_slots (
  projection VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  slot SMALLINT UNSIGNED NOT NULL,
  owner VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  owned_until DATETIME(3) NOT NULL,
  PRIMARY KEY (projection, slot)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS projection_instances (
  projection VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  instance VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  alive_until DATETIME(3) NOT NULL,
  PRIMARY KEY (projection, instance)
) ENGINE = InnoDB;

-- The first sequence that was written in each minute of a slot's time: listings by time start where they must.
CREATE TABLE IF NOT EXISTS orders_timeline (
  slot SMALLINT UNSIGNED NOT NULL,
  minute INT UNSIGNED NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (slot, minute)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS orders (
  member_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL,
  client_order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  side ENUM ('buy', 'sell') NOT NULL,
  order_type ENUM ('limit', 'market') NOT NULL,
  price_ticks BIGINT NOT NULL,
  amount_lots BIGINT NOT NULL,
  quote_tick_lots BIGINT,
  executed_lots BIGINT NOT NULL,
  executed_quote_minor DECIMAL(38, 0) NOT NULL,
  -- In the asset that the order receives: base for a buy, quote for a sell.
  fee_minor DECIMAL(38, 0) NOT NULL,
  status ENUM ('new', 'partially_filled', 'executed', 'cancelled', 'closed', 'rejected') NOT NULL,
  reason VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
  created_at_us BIGINT NOT NULL,
  received_at_us BIGINT NOT NULL,
  updated_at_us BIGINT NOT NULL,
  -- Of the last change.
  sequence BIGINT NOT NULL,
  PRIMARY KEY (member_id, order_id),
  KEY by_client_order_id (member_id, client_order_id)
) ENGINE = InnoDB;

-- A member's executions: two rows for a trade, one for each side. They are the ledger's entries for trades as well: the
-- last fill of an outcome has the balances as they are after it, the others have NULL there.
CREATE TABLE IF NOT EXISTS fills (
  member_id BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  item INT NOT NULL,
  event INT NOT NULL,
  fill SMALLINT UNSIGNED NOT NULL,
  order_id BIGINT NOT NULL,
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  side ENUM ('buy', 'sell') NOT NULL,
  trade_id BIGINT NOT NULL,
  price_ticks BIGINT NOT NULL,
  lots BIGINT NOT NULL,
  base_minor BIGINT NOT NULL,
  quote_minor BIGINT NOT NULL,
  fee_minor BIGINT NOT NULL,
  liquidity ENUM ('maker', 'taker') NOT NULL,
  base_available_minor BIGINT,
  base_held_minor BIGINT,
  quote_available_minor BIGINT,
  quote_held_minor BIGINT,
  time_us BIGINT NOT NULL,
  PRIMARY KEY (member_id, sequence, item, event, fill),
  KEY by_order (order_id)
) ENGINE = InnoDB;

-- Money that came, went or moved for another cause than a trade; the amount is signed.
CREATE TABLE IF NOT EXISTS movements (
  member_id BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  item INT NOT NULL,
  event INT NOT NULL,
  cause ENUM ('deposit', 'withdrawal', 'transfer_out', 'transfer_in', 'transfer_returned') NOT NULL,
  reference VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  amount_minor BIGINT NOT NULL,
  available_minor BIGINT NOT NULL,
  held_minor BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  PRIMARY KEY (member_id, sequence, item, event)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS balances (
  member_id BIGINT NOT NULL,
  asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  available_minor BIGINT NOT NULL,
  held_minor BIGINT NOT NULL,
  PRIMARY KEY (member_id, asset)
) ENGINE = InnoDB;

-- Sums over everything that a slot has written.
CREATE TABLE IF NOT EXISTS asset_totals (
  slot SMALLINT UNSIGNED NOT NULL,
  asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  deposits_minor DECIMAL(38, 0) NOT NULL,
  withdrawals_minor DECIMAL(38, 0) NOT NULL,
  -- What came from other members minus what went to them.
  transfers_minor DECIMAL(38, 0) NOT NULL,
  -- What trades brought minus what they cost, before fees.
  trades_minor DECIMAL(38, 0) NOT NULL,
  fees_minor DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (slot, asset)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS market_totals (
  slot SMALLINT UNSIGNED NOT NULL,
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  orders BIGINT NOT NULL,
  rejected BIGINT NOT NULL,
  fills BIGINT NOT NULL,
  -- Of takers, so that each trade counts once.
  executed_lots DECIMAL(38, 0) NOT NULL,
  executed_quote_minor DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (slot, instrument)
) ENGINE = InnoDB;

-- The ledger for those who read with SQL: one row for each entry, a trade's two assets apart.
CREATE OR REPLACE VIEW ledger_entries AS
  SELECT member_id, sequence, item, event, 0 AS fill, asset, cause, amount_minor AS delta_minor, 0 AS fee_minor,
    available_minor, held_minor, NULL AS order_id, reference, time_us
  FROM movements
  UNION ALL
  SELECT member_id, sequence, item, event, fill, SUBSTRING_INDEX(instrument, '-', 1), 'trade',
    IF(side = 'buy', base_minor - fee_minor, -base_minor), IF(side = 'buy', fee_minor, 0),
    base_available_minor, base_held_minor, order_id, NULL, time_us
  FROM fills
  UNION ALL
  SELECT member_id, sequence, item, event, fill, SUBSTRING_INDEX(instrument, '-', -1), 'trade',
    IF(side = 'buy', -quote_minor, quote_minor - fee_minor), IF(side = 'buy', 0, fee_minor),
    quote_available_minor, quote_held_minor, order_id, NULL, time_us
  FROM fills;
