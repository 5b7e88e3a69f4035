-- Every statement here is short. Compiling one costs up to 300 ms, and the planner asks for it whenever a cost is exaggerated:
-- by enable_seqscan = off in the insert trigger, or by an estimate of how many rows a claim may take.
do $$
begin
    execute format('alter database %I set jit to off', current_database());
end
$$;

alter function srl_after_insert() set jit to off;  -- also for sessions that were open before
