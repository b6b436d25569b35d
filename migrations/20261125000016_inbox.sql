-- Of a webhook only ids are kept: what else the PSP sent may name people, and would outlive them.
update vault.webhook_inbox set payload = jsonb_build_object('data', jsonb_build_object('object', jsonb_build_object(
  'id', payload #> '{data,object,id}',
  'payment_intent', payload #> '{data,object,payment_intent}',
  'metadata', jsonb_build_object('payment_id', payload #> '{data,object,metadata,payment_id}'))));
