-- The models: what the events of this store come to. Amounts are in minor units of their currency (5990 is R$ 59.90);
-- times are UTC. The tests hold orders, payments and library to the read models of a running store.

-- An amount in the currency's own units: 5990 of BRL is 59.90, and of JPY 5990 (ISO 4217).
CREATE OR REPLACE MACRO major(amount, currency) AS
  amount / CASE
    WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF')
      THEN 1
    WHEN currency IN ('BHD', 'JOD', 'KWD', 'OMR', 'TND') THEN 1000
    ELSE 100
  END;

-- Where each order stands.
CREATE OR REPLACE VIEW orders AS
WITH steps AS (
  SELECT aggregateid AS order_id, position, time, 'awaiting_payment' AS status, NULL AS standing, NULL::UUID AS payment FROM OrderCreated
  UNION ALL SELECT aggregateid, position, time, 'payment_failed', NULL, NULL FROM OrderPaymentFailed
  UNION ALL SELECT aggregateid, position, time, 'completed', NULL, payment FROM OrderCompleted
  UNION ALL SELECT aggregateid, position, time, 'cancelled', NULL, NULL FROM OrderCancelled
  UNION ALL SELECT aggregateid, position, time, NULL, NULL, NULL FROM OrderRefundRequested
  UNION ALL SELECT aggregateid, position, time, NULL, NULL, NULL FROM OrderRefundFailed
  UNION ALL SELECT aggregateid, position, time, CASE WHEN whole THEN 'refunded' END, CASE WHEN whole THEN 'good' END, NULL FROM OrderRefunded
  UNION ALL SELECT aggregateid, position, time, NULL, 'suspended', NULL FROM OrderSuspended
  UNION ALL SELECT aggregateid, position, time, NULL, 'good', NULL FROM OrderReinstated
  UNION ALL SELECT aggregateid, position, time, NULL, 'revoked', NULL FROM OrderRevoked
),
-- The buyer pays, or pays again.
attempts AS (
  SELECT p."order" AS order_id, p.position, p.time, 'awaiting_payment' AS status, NULL AS standing, p.aggregateid AS payment
  FROM PaymentInitiated p
  ASOF JOIN (SELECT order_id, position, status FROM steps WHERE status IS NOT NULL) s
    ON p."order" = s.order_id AND p.position >= s.position
  WHERE s.status IN ('awaiting_payment', 'payment_failed')
),
now AS (
  SELECT
    order_id,
    arg_max(status, position) FILTER (status IS NOT NULL) AS status,
    coalesce(arg_max(standing, position) FILTER (standing IS NOT NULL), 'good') AS standing,
    arg_max(payment, position) FILTER (payment IS NOT NULL) AS payment_id,
    arg_max(time, position) AS updated_at
  FROM (FROM steps UNION ALL FROM attempts)
  GROUP BY order_id
),
ends AS (
  SELECT order_id, number, arg_max(status, position) AS status
  FROM (
    SELECT aggregateid AS order_id, number, position, 'failed' AS status FROM OrderRefundFailed
    UNION ALL SELECT aggregateid, number, position, 'refunded' FROM OrderRefunded
  )
  GROUP BY ALL
),
revoked AS (SELECT aggregateid AS order_id, max(position) AS position FROM OrderRevoked GROUP BY ALL),
refunds AS (
  SELECT
    asked.aggregateid AS order_id,
    list({
      'number': asked.number,
      'games': asked.games,
      'amount': asked.amount.amount,
      'status': coalesce(ends.status, CASE WHEN revoked.position > asked.position THEN 'failed' ELSE 'requested' END)
    } ORDER BY asked.position) AS refunds
  FROM OrderRefundRequested asked
  LEFT JOIN ends ON ends.order_id = asked.aggregateid AND ends.number = asked.number
  LEFT JOIN revoked ON revoked.order_id = asked.aggregateid
  GROUP BY ALL
)
SELECT
  o.aggregateid AS order_id, o.buyer AS user_id, now.status, o.total.amount AS total, o.total.currency AS currency,
  o.lines, coalesce(refunds.refunds, []) AS refunds, now.standing, o.age_source, now.payment_id,
  o.time AS created_at, now.updated_at
FROM OrderCreated o
JOIN now ON now.order_id = o.aggregateid
LEFT JOIN refunds ON refunds.order_id = o.aggregateid;

-- Each attempt to pay, and what the PSP said.
CREATE OR REPLACE VIEW payments AS
WITH refunded AS (
  SELECT
    r.aggregateid, r.position, r.time, p.amount.amount AS amount,
    sum(r.amount.amount) OVER (PARTITION BY r.aggregateid ORDER BY r.position) AS refunded
  FROM PaymentRefunded r JOIN PaymentInitiated p USING (aggregateid)
),
steps AS (
  SELECT aggregateid AS payment_id, position, time, 'initiated' AS status, NULL AS reference FROM PaymentInitiated
  UNION ALL SELECT aggregateid, position, time, 'submitted', reference FROM PaymentSubmitted
  UNION ALL SELECT aggregateid, position, time, 'pending', NULL FROM PaymentPending
  UNION ALL SELECT aggregateid, position, time, 'succeeded', reference FROM PaymentSucceeded
  UNION ALL SELECT aggregateid, position, time, 'failed', NULL FROM PaymentFailed
  UNION ALL SELECT aggregateid, position, time, 'cancelled', NULL FROM PaymentCancelled
  UNION ALL SELECT aggregateid, position, time, CASE WHEN refunded >= amount THEN 'refunded' END, NULL FROM refunded
),
now AS (
  SELECT
    payment_id,
    arg_max(status, position) FILTER (status IS NOT NULL) AS status,
    arg_max(reference, position) FILTER (reference IS NOT NULL) AS psp_reference,
    arg_max(time, position) AS updated_at
  FROM steps GROUP BY payment_id
),
back AS (SELECT aggregateid, max(refunded) AS refunded FROM refunded GROUP BY ALL),
declined AS (SELECT aggregateid, arg_max(failure, position) AS failure, max(position) AS position FROM PaymentFailed GROUP BY ALL),
succeeded AS (SELECT aggregateid, max(position) AS position FROM PaymentSucceeded GROUP BY ALL)
SELECT
  p.aggregateid AS payment_id, p."order" AS order_id, p.buyer AS user_id, p.attempt, p.method.type AS method, now.status,
  p.amount.amount AS amount, p.amount.currency AS currency, coalesce(back.refunded, 0)::BIGINT AS refunded,
  now.psp_reference,
  CASE WHEN succeeded.position IS NULL OR succeeded.position < declined.position THEN declined.failure END AS failure,
  p.time AS created_at, now.updated_at
FROM PaymentInitiated p
JOIN now ON now.payment_id = p.aggregateid
LEFT JOIN back ON back.aggregateid = p.aggregateid
LEFT JOIN declined ON declined.aggregateid = p.aggregateid
LEFT JOIN succeeded ON succeeded.aggregateid = p.aggregateid;

-- Who owns which game.
CREATE OR REPLACE VIEW library AS
WITH taken AS (
  SELECT aggregateid AS order_id, unnest(games) AS game_id FROM OrderRefunded
  UNION ALL SELECT aggregateid, unnest(games) FROM OrderRevoked
),
disputed AS (
  SELECT order_id, game_id, arg_max(suspended, position) AS suspended
  FROM (
    SELECT aggregateid AS order_id, unnest(games) AS game_id, position, true AS suspended FROM OrderSuspended
    UNION ALL SELECT aggregateid, unnest(games), position, false FROM OrderReinstated
  )
  GROUP BY ALL
)
SELECT
  p.buyer AS user_id, p.line.game AS game_id, p.aggregateid AS order_id, p.line.title AS title, p.time AS acquired_at,
  coalesce(disputed.suspended, false) AS suspended
FROM PurchaseCompleted p
LEFT JOIN disputed ON disputed.order_id = p.aggregateid AND disputed.game_id = p.line.game
WHERE NOT EXISTS (FROM taken WHERE taken.order_id = p.aggregateid AND taken.game_id = p.line.game);

-- The catalogue as it is.
CREATE OR REPLACE VIEW games AS
WITH told AS (
  SELECT aggregateid, position, details, price FROM GameCreated
  UNION ALL BY NAME SELECT aggregateid, position, details FROM GameUpdated
  UNION ALL BY NAME SELECT aggregateid, position, price FROM GamePriceChanged
)
SELECT
  aggregateid AS game_id,
  unnest(arg_max(details, position) FILTER (details IS NOT NULL)),
  arg_max(price, position) FILTER (price IS NOT NULL) AS price,
  aggregateid IN (SELECT aggregateid FROM GameRetired) AS retired
FROM told GROUP BY aggregateid;

-- What came in and what went back, by day and currency; what a lost dispute took is `charged_back`.
CREATE OR REPLACE VIEW revenue_by_day AS
WITH moved AS (
  SELECT s.time, p.amount.currency AS currency, 1 AS payments, p.amount.amount AS received, 0 AS refunded, 0 AS charged_back
  FROM PaymentSucceeded s JOIN PaymentInitiated p USING (aggregateid)
  UNION ALL
  SELECT time, amount.currency, 0, 0, amount.amount, 0 FROM PaymentRefunded
  UNION ALL
  SELECT c.time, d.amount.currency, 0, 0, 0, d.amount.amount
  FROM PaymentDisputeClosed c
  JOIN (SELECT aggregateid, dispute, arg_max(amount, position) AS amount FROM PaymentDisputed GROUP BY ALL) d
    USING (aggregateid, dispute)
  WHERE c.outcome = 'lost'
)
SELECT
  (time AT TIME ZONE 'UTC')::DATE AS day, currency,
  sum(payments)::BIGINT AS payments, sum(received)::BIGINT AS received, sum(refunded)::BIGINT AS refunded,
  sum(charged_back)::BIGINT AS charged_back, sum(received - refunded - charged_back)::BIGINT AS revenue
FROM moved GROUP BY ALL ORDER BY ALL;

-- How far people come: of those who registered, who ordered, who owns something for it, and who did so again.
CREATE OR REPLACE VIEW funnel AS
WITH people AS (
  SELECT
    r.aggregateid,
    count(o.order_id) AS ordered,
    count(o.order_id) FILTER (o.status IN ('completed', 'refunded')) AS bought
  FROM UserRegistered r LEFT JOIN orders o ON o.user_id = r.aggregateid
  GROUP BY ALL
),
steps AS (
  SELECT 1 AS step, 'registered' AS what, count(*) AS people FROM people
  UNION ALL SELECT 2, 'ordered', count(*) FROM people WHERE ordered > 0
  UNION ALL SELECT 3, 'bought', count(*) FROM people WHERE bought > 0
  UNION ALL SELECT 4, 'bought again', count(*) FROM people WHERE bought > 1
)
SELECT step, what, people, round(people / nullif(first_value(people) OVER (ORDER BY step), 0), 4) AS share
FROM steps ORDER BY step;

-- By the month in which people registered: how many of them buy in that month and in those after it, and for how much.
CREATE OR REPLACE VIEW cohorts AS
WITH registered AS (
  SELECT aggregateid AS user_id, date_trunc('month', time AT TIME ZONE 'UTC')::DATE AS cohort FROM UserRegistered
),
sizes AS (SELECT cohort, count(*) AS people FROM registered GROUP BY ALL),
bought AS (
  SELECT buyer AS user_id, date_trunc('month', time AT TIME ZONE 'UTC')::DATE AS month, total FROM OrderCompleted
)
SELECT
  r.cohort, s.people, date_diff('month', r.cohort, b.month) AS months_later,
  count(DISTINCT b.user_id) AS buyers, count(*) AS orders, b.total.currency AS currency, sum(b.total.amount)::BIGINT AS spent
FROM registered r JOIN sizes s USING (cohort) JOIN bought b USING (user_id)
GROUP BY ALL ORDER BY ALL;
