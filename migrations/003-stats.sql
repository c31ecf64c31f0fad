-- Statistics, written by the service stats from the log, and by nobody else. Everything here can be dropped and comes again.
-- Prices are in ticks, amounts in lots of the market; tick_lots is the sum of price × amount. Times are seconds since 1970, UTC.

-- What was traded of a market in an interval that begins at start_s. Intervals without a trade have no row.
CREATE TABLE IF NOT EXISTS candles (
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  period ENUM ('1s', '1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '12h', '1d', '3d', '1w', '1M')
    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  start_s BIGINT NOT NULL,
  open_ticks BIGINT NOT NULL,
  high_ticks BIGINT NOT NULL,
  low_ticks BIGINT NOT NULL,
  close_ticks BIGINT NOT NULL,
  lots DECIMAL(38, 0) NOT NULL,
  tick_lots DECIMAL(38, 0) NOT NULL,
  trades BIGINT NOT NULL,
  PRIMARY KEY (instrument, period, start_s)
) ENGINE = InnoDB;

-- All that was ever traded of a market; trade_id, last_ticks and last_s are those of the last trade.
CREATE TABLE IF NOT EXISTS traded_markets (
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  slot SMALLINT UNSIGNED NOT NULL,
  trade_id BIGINT NOT NULL,
  last_ticks BIGINT NOT NULL,
  last_s BIGINT NOT NULL,
  trades BIGINT NOT NULL,
  lots DECIMAL(38, 0) NOT NULL,
  tick_lots DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (instrument),
  KEY by_slot (slot)
) ENGINE = InnoDB;

-- What a member traded of a market on a day (since 1970, UTC, by the time of the trade).
CREATE TABLE IF NOT EXISTS member_days (
  member_id BIGINT NOT NULL,
  day INT NOT NULL,
  instrument VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  trades BIGINT NOT NULL,
  lots DECIMAL(38, 0) NOT NULL,
  quote_minor DECIMAL(38, 0) NOT NULL,
  base_fee_minor DECIMAL(38, 0) NOT NULL,
  quote_fee_minor DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (member_id, day, instrument)
) ENGINE = InnoDB;
