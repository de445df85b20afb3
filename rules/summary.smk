# What a person looks at first.


rule summarize_session:
    """Draw averages before and after and the session mask, and list one row of figures per recording."""
    input:
        recordings=sources,
        averages=every("average"),
        masks=every("mask"),
        to_reference=every("to_reference"),
        statistics=every("statistics") if options["save_meta_info"] else [],
        final_mask=session.path("final_png"),
        center=session.path("center"),
        damaged=damage_stamp("summarize_session"),
    output:
        figure=report(
            session.path("summary_figure"), caption="captions/summary_figure.rst", category="Session"
        ),
        table=report(session.path("summary_table"), caption="captions/summary_table.rst", category="Session"),
    log:
        "logs/summarize_session.log",
    benchmark:
        "benchmarks/summarize_session.tsv"
    group:
        submission("session")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: resources.session_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        names=session.names,
        reading=[session.reading(recording) for recording in session.recordings],
        status=session.paths("status"),
    script:
        "../scripts/summarize_session.py"
