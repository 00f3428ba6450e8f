// The report as the command-line tool prints it.
const line = '='.repeat(60);

exports.of = () => `${line}
                      MR REVIEW REPORT
${line}
Goal Status: MET
Quality Score: 91/100

Remarks:
   Written by the stand-in.
${line}`;
