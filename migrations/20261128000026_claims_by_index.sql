-- How many claims and answers a batch brings is not known when its plan is made, and it is always few: they are looked up
-- by their indexes. The plan that was chosen read all claims that there are, for every batch.
alter function journal.append(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) set enable_hashjoin = off;
alter function journal.append(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) set enable_mergejoin = off;
alter function journal.append(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) set enable_seqscan = off;
