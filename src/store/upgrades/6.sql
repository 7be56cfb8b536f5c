-- From version 5 to 6: every row says who recorded it. Of those that are there nobody knows any more.

ALTER TABLE enforcement_events ADD COLUMN recorded_by INTEGER;
ALTER TABLE messages ADD COLUMN recorded_by INTEGER;
ALTER TABLE message_facts ADD COLUMN recorded_by INTEGER;
ALTER TABLE activity ADD COLUMN recorded_by INTEGER;
