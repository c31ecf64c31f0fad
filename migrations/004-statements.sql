-- What moved a member's balance of an asset on a day (since 1970, UTC, by the time of his account slot), and what he had in the end,
-- held included. Written by stats from the log, and comes again from there. What trades brought is the rest.
CREATE TABLE IF NOT EXISTS member_asset_days (
  member_id BIGINT NOT NULL,
  asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  day INT NOT NULL,
  deposits_minor DECIMAL(38, 0) NOT NULL,
  withdrawals_minor DECIMAL(38, 0) NOT NULL,
  -- What came from other members minus what went to them.
  transfers_minor DECIMAL(38, 0) NOT NULL,
  fees_minor DECIMAL(38, 0) NOT NULL,
  closing_minor DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (member_id, asset, day),
  KEY by_day (day)
) ENGINE = InnoDB;

-- What members are let off of fees at present, in parts per million of them, and since which day. From the log as well.
CREATE TABLE IF NOT EXISTS fee_discounts (
  member_id BIGINT NOT NULL,
  day INT NOT NULL,
  discount_ppm INT NOT NULL,
  PRIMARY KEY (member_id)
) ENGINE = InnoDB;

-- Statements of days that are over, as they were issued: they do not change any more.
CREATE TABLE IF NOT EXISTS statements (
  member_id BIGINT NOT NULL,
  day INT NOT NULL,
  asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  opening_minor DECIMAL(38, 0) NOT NULL,
  deposits_minor DECIMAL(38, 0) NOT NULL,
  withdrawals_minor DECIMAL(38, 0) NOT NULL,
  transfers_minor DECIMAL(38, 0) NOT NULL,
  -- What trades brought minus what they cost, before fees.
  trades_minor DECIMAL(38, 0) NOT NULL,
  fees_minor DECIMAL(38, 0) NOT NULL,
  closing_minor DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (member_id, day, asset)
) ENGINE = InnoDB;

-- Which of what is done once a day is done.
CREATE TABLE IF NOT EXISTS daily_runs (
  job VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  day INT NOT NULL,
  PRIMARY KEY (job, day)
) ENGINE = InnoDB;
